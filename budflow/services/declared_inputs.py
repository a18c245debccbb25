"""What a workflow asks of whoever starts it: the inputs that its `trigger.manual` nodes declare."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field, ValidationError

from budflow.nodes.trigger.manual import ManualParams
from budflow.services.use_case import View

TRIGGER = "trigger.manual"


class InputView(View):
    """A field that each item is to have."""

    type: str
    required: bool
    default: Any = Field(description="Set where the field is missing; null: it then stays missing.")
    description: str


#: By the key of the trigger, then by the name of the field.
Inputs = dict[str, dict[str, InputView]]


def declared_inputs(document: Mapping[str, Any]) -> Inputs:
    """The inputs of each trigger that declares any; what a draft has wrong is left out."""
    found: Inputs = {}
    for key, node in document.get("nodes", {}).items():
        if node.get("type") != TRIGGER or not node.get("params"):
            continue
        try:
            declared = ManualParams.model_validate(node["params"]).inputs
        except ValidationError:
            continue
        if declared:
            found[key] = {name: InputView(**one.model_dump()) for name, one in declared.items()}
    return found
