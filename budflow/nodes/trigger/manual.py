"""trigger.manual: where an execution enters that somebody or another workflow starts by hand."""

from typing import Annotated, Any, Self

from pydantic import Field, StringConstraints, model_validator

from budflow.model.failure import NodeError
from budflow.model.item import Item, ItemList, Json
from budflow.model.node import Batch, Example, Outputs, Params, Static, node
from budflow.nodes.json_value import kind_of
from budflow.nodes.typed_value import WORDS, ValueType, is_of_type

InputName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
INPUTS_MAX = 100


class InputInvalid(NodeError):
    """An item lacks what the workflow asks for, or has something else in its place."""

    code = "workflow.input_invalid"
    http_status = 422
    hint = "The `inputs` of the workflow's trigger.manual say which fields each item needs."


class Input(Params):
    """A field that each item is to have."""

    type: ValueType = Field(
        default="any", description="What the value must be; 3.0 is an integer too, `any` takes everything."
    )
    required: bool = Field(default=False, description="Refuse the start without it. Null counts as missing.")
    default: Any = Field(
        default=None, description="Set where the field is missing or null. Left out, it then stays as it is."
    )
    description: str = Field(default="", max_length=1000, description="What it is for, for whoever starts this.")

    @model_validator(mode="after")
    def _default_fits(self) -> Self:
        if self.default is None:
            return self
        if self.required:
            raise ValueError("A required input is never missing; leave `required` or `default` out.")
        if not is_of_type(self.default, self.type):
            raise ValueError(f"`default` must be {WORDS[self.type]}, not {kind_of(self.default)}.")
        return self


class ManualParams(Params):
    """What the workflow asks of whoever starts it."""

    inputs: Annotated[dict[InputName, Input], Static] = Field(
        default_factory=dict,
        max_length=INPUTS_MAX,
        description="The fields that each item is to have, by name, with their type. They are checked before the "
        "execution starts. Other fields stay as they are; left out, everything is taken.",
    )


def checked_items(params: ManualParams, items: ItemList, first: int = 0) -> ItemList:
    """The items with the defaults of what they lack; the same list where nothing was missing.

    Raises InputInvalid, which names the field, the item's index, counted from `first`, and what was expected; nothing
    is changed then.
    """
    if not params.inputs:
        return items
    checked = [_checked(params.inputs, index, item) for index, item in enumerate(items.items, first)]
    if all(new is old for new, old in zip(checked, items.items, strict=True)):
        return items
    return ItemList(checked, items.lineage)


@node(
    "trigger.manual",
    kind="batch",
    params=ManualParams,
    trigger=True,
    examples=[
        Example(
            title="Start with one item",
            params={},
            given=[{"name": "Ada"}],
            expect={"main": [{"name": "Ada"}]},
        ),
        Example(
            title="Say what the workflow needs",
            params={
                "inputs": {
                    "customer": {"type": "string", "required": True, "description": "Number of the customer."},
                    "limit": {"type": "integer", "default": 10},
                }
            },
            given=[{"customer": "c1", "limit": 10}],
            expect={"main": [{"customer": "c1", "limit": 10}]},
        ),
    ],
)
def start_manually(batch: Batch[ManualParams]) -> Outputs:
    """Start an execution by hand: over the API, the CLI or MCP, or as a sub-workflow.

    The items given at the start leave by `main`; without any, the starter hands in one empty item. A workflow that
    `flow.sub_workflow` is to call needs this trigger. Declare in `inputs` what every item must hold: who starts the
    workflow wrongly is told at once which field of which item is at fault, and nothing runs; missing fields get their
    `default`.
    """
    outputs = Outputs()
    for index in range(len(batch.items)):
        outputs.pass_on("main", index)
    return outputs


def _checked(inputs: dict[InputName, Input], index: int, item: Item) -> Item:
    defaults: Json = {}
    for name, wanted in inputs.items():
        value = item.json.get(name)
        if value is None:
            if wanted.required:
                expected = WORDS[wanted.type]
                raise InputInvalid(
                    f"Item {index}: the field `{name}` is missing; it must be {expected}.", field=name, item=index
                )
            if wanted.default is not None:
                defaults[name] = wanted.default
        elif not is_of_type(value, wanted.type):
            message = f"Item {index}: the field `{name}` must be {WORDS[wanted.type]}, not {kind_of(value)}."
            raise InputInvalid(message, field=name, item=index)
    return item._replace(json={**item.json, **defaults}) if defaults else item
