"""From a call's arguments to the model of its tool, or to an error that an agent can mend its call with."""

import json
from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from budflow.graph.parse import read_json
from budflow.graph.plain import plain_problems
from budflow.graph.suggest import hint
from budflow.model.problem import Problem, ProblemsFound

PROBLEMS_MAX = 20
SHOWN_CHARS_MAX = 60
#: The argument that the validator reads, which says all that is wrong with it.
DOCUMENT_ARGUMENT = "document"


class ArgumentsInvalid(ProblemsFound):
    """The arguments do not fit the tool."""

    code = "mcp.arguments_invalid"
    http_status = 422
    hint = "Mend what `problems` lists and call the tool again."


def read_arguments(model: type[BaseModel], given: Mapping[str, Any]) -> BaseModel:
    """The arguments as `model`. Raises ArgumentsInvalid with every problem, WorkflowInvalid for a key that comes twice.

    Some clients send an object or a list as a string that holds its JSON; that is taken for what it means.
    """
    others = {name: value for name, value in given.items() if name != DOCUMENT_ARGUMENT}
    if faults := tuple(islice(plain_problems(others), PROBLEMS_MAX)):
        raise _invalid(tuple(_of_arguments(fault) for fault in faults))
    try:
        return model.model_validate(given)
    except ValidationError as error:
        texts = _texts(given, error)
    try:
        return model.model_validate({**given, **{name: read_json(text) for name, text in texts.items()}})
    except ValidationError as error:
        details = error.errors(include_url=False)[:PROBLEMS_MAX]
        raise _invalid(tuple(_problem(model, detail) for detail in details)) from None


def _invalid(problems: tuple[Problem, ...]) -> ArgumentsInvalid:
    # Some clients show the message alone.
    return ArgumentsInvalid(" ".join(problem.message for problem in problems[:3]), problems=problems)


def _of_arguments(fault: Problem) -> Problem:
    message = f"{fault.path}: {fault.message}" if fault.path else fault.message.replace("The document", "An argument")
    return replace(fault, code=fault.code.replace("document.", "argument."), message=message)


def _texts(given: Mapping[str, Any], error: ValidationError) -> dict[str, str]:
    """The arguments that are strings, look like JSON, and should have been objects or lists."""
    wrong = {str(one["loc"][0]) for one in error.errors(include_url=False) if one["type"] in ("dict_type", "list_type")}
    texts = {name: given.get(name) for name in wrong}
    return {name: text for name, text in texts.items() if isinstance(text, str) and text.lstrip()[:1] in ("{", "[")}


def _problem(model: type[BaseModel], detail: ErrorDetails) -> Problem:
    name = str(detail["loc"][0]) if detail["loc"] else ""
    path = "".join(f"/{part}" for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        return Problem(
            "argument.unknown", path, f"There is no argument `{name}`.", hint(name, model.model_fields, "argument")
        )
    field = model.model_fields.get(name)
    about = (field.description if field else None) or "See the tool's input schema."
    if detail["type"] == "missing":
        return Problem("argument.missing", path, f"The argument `{name}` is missing.", about)
    said = str(detail["msg"]).removeprefix("Value error, ").rstrip(".")
    said = said[:1].lower() + said[1:]
    where = ".".join(str(part) for part in detail["loc"])
    return Problem("argument.invalid", path, f"`{where}`: {said}, not {_shown(detail['input'])}.", about)


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False, separators=(",", ":"))
    return f"`{text}`" if len(text) <= SHOWN_CHARS_MAX else f"`{text[:SHOWN_CHARS_MAX]}…`"
