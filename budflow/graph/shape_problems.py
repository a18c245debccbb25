"""What pydantic says of a document or of parameters, as Problems that tell where, what and how to mend it."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from budflow.graph.fields import fields_on, names_at
from budflow.graph.suggest import closest, hint, listed
from budflow.model.problem import Blocks, Problem, pointer
from budflow.model.workflow import PROBLEMS_MAX
from budflow.nodes.json_value import kind_of

Place = tuple[str | int, ...]
KEY_MARK = "[key]"  # What pydantic puts at the end of a place where not the value but its key is meant.

#: What pydantic's kinds of fault expect, in the words of JSON.
EXPECTED: Mapping[str, str] = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "dict_type": "an object",
    "float_parsing": "a number",
    "float_type": "a number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "list_type": "an array",
    "model_attributes_type": "an object",
    "model_type": "an object",
    "string_type": "a text",
    "tuple_type": "an array",
}
#: What other formats call things; did-you-mean would not find them.
FOREIGN: Mapping[str, str] = {
    "connections": "edges",
    "continueOnFail": "on_error",
    "links": "edges",
    "retryOnFail": "retry",
    "source": "from",
    "steps": "nodes",
    "target": "to",
}


def shape_problems(
    details: Iterable[Mapping[str, Any]],
    model: type[BaseModel],
    raw: object,
    *,
    prefix: Place = (),
    code: str = "document",
    blocks: Blocks = "save",
) -> Iterator[Problem]:
    """The `details` of pydantic's check of `raw` against `model`, one Problem each; `prefix` is where `raw` stands.

    The alternatives of a union complain of the same place one by one: they become one problem. It stops when there
    are more than anybody is shown.
    """
    found: dict[tuple[str, str], Problem] = {}
    for detail in details:
        problem = _problem(detail, model, raw, prefix, code, blocks)
        known = found.setdefault((problem.code, problem.path), problem)
        if problem.message not in known.message:
            message = f"{known.message.removesuffix('.')}, or: {problem.message}"
            found[problem.code, problem.path] = Problem(known.code, known.path, message, known.hint, blocks)
        if len(found) > PROBLEMS_MAX:
            break
    yield from found.values()


def place_of(detail: Mapping[str, Any], raw: object) -> Place:
    """Where in `raw` one of pydantic's details is; without the tags of unions, which are no part of the data."""
    value: Any = raw
    place: Place = ()
    for part in detail["loc"]:
        inside = part in value if isinstance(value, Mapping) else isinstance(value, list) and part in range(len(value))
        if inside:
            value = value[part]
            place = (*place, part)
    return (*place, detail["loc"][-1]) if detail["type"] == "missing" else place


def is_of_key(detail: Mapping[str, Any]) -> bool:
    """Whether the fault is one of a key and not of the value under it."""
    return bool(detail["loc"]) and detail["loc"][-1] == KEY_MARK and detail["type"] != "extra_forbidden"


def _problem(
    detail: Mapping[str, Any], model: type[BaseModel], raw: object, prefix: Place, code: str, blocks: Blocks
) -> Problem:
    place, kind = place_of(detail, raw), detail["type"]
    path = pointer(*prefix, *place)
    name = ".".join(map(str, place[-2:] if isinstance(place[-1], int) else place[-1:])) if place else ""
    about = next((field.description for field in reversed(fields_on(model, place)) if field.description), "")
    if kind == "extra_forbidden":
        names = names_at(model, place[:-1])
        advice, patch = _rename(name, names, (*prefix, *place), _value_at(raw, place[:-1]))
        return Problem(f"{code}.unknown_field", path, f"There is no field `{name[:80]}` here.", advice, blocks, patch)
    if kind == "missing":
        return Problem(f"{code}.missing_field", path, f"The field `{name}` is missing.", f"Add it. {about}", blocks)
    if is_of_key(detail):
        message = f"`{name[:80]}` cannot be a key here."
        return Problem(f"{code}.key_malformed", path, message, _key_advice(name, code, about), blocks)
    if "." in kind:  # None of pydantic's: a node type tells of a fault by a code and with a hint of its own.
        return Problem(kind, path, said(detail), detail["ctx"].get("hint", about), blocks)
    expected = EXPECTED.get(kind)
    subject = f"`{name}`" if name else "This"
    if expected is not None:
        message, advice = f"{subject} must be {expected}, not {kind_of(detail['input'])}.", f"Write {expected}."
        return Problem(f"{code}.invalid_value", path, message, f"{advice} {about}".strip(), blocks)
    if kind == "literal_error":
        return _not_allowed(detail, subject, path, code, blocks)
    message = f"{subject}: {said(detail)}" if name else said(detail)
    return Problem(f"{code}.invalid_value", path, message, about or "See get_node for what it may be.", blocks)


def said(detail: Mapping[str, Any]) -> str:
    """The message of one of pydantic's details as a sentence of ours."""
    return str(detail["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ").rstrip(".") + "."


def _not_allowed(detail: Mapping[str, Any], subject: str, path: str, code: str, blocks: Blocks) -> Problem:
    given, expected = detail["input"], detail["ctx"]["expected"]
    plain = isinstance(given, str | int | float) and not isinstance(given, bool)
    message = f"{subject} may not be {f'`{str(given)[:80]}`' if plain else kind_of(given)}."
    choices = re.findall(r"'([^']*)'", expected)
    match = closest(given, choices) if isinstance(given, str) else None
    if match is None:
        return Problem(f"{code}.invalid_value", path, message, f"Allowed: {listed(choices) or expected}.", blocks)
    patch = ({"op": "replace", "path": path, "value": match},)
    advice = f"Did you mean `{match}`? Allowed: {listed(choices)}."
    return Problem(f"{code}.invalid_value", path, message, advice, blocks, patch)


def _rename(wrong: str, names: Sequence[str], place: Place, siblings: object) -> tuple[str, tuple[dict[str, Any], ...]]:
    taken = siblings if isinstance(siblings, Mapping) else {}
    known = FOREIGN.get(wrong)
    if known in names:
        return f"It is called `{known}` here.", ()
    match = closest(wrong, names)
    if match is None:
        return hint(wrong, [name for name in names if name not in taken], "field"), ()
    if match in taken:
        return f"Remove it: `{match}` is already there.", ()
    move = {"op": "move", "from": pointer(*place), "path": pointer(*place[:-1], match)}
    return f"Did you mean `{match}`?", (move,)


def _key_advice(wrong: str, code: str, about: str) -> str:
    if code != "document":
        return about
    advice = "Keys are lower-case letters, digits and `_`, begin with a letter and have at most 64 characters."
    slug = re.sub(r"[^a-z0-9]+", "_", wrong.lower()).strip("_")[:64]
    return f"{advice} For example `{slug}`." if re.match("[a-z]", slug) else advice


def _value_at(raw: object, place: Place) -> object:
    value: Any = raw
    for part in place:
        value = value[part]
    return value
