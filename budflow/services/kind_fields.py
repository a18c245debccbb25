"""What a form or a prompt asks for, field by field: read from the JSON Schema of a kind of credential."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from budflow.model.secret import SECRET_KEYWORD

#: `lines` is a text of several lines, `pairs` maps names to values, `list` is a list of texts.
Shape = Literal["text", "secret", "lines", "number", "boolean", "choice", "pairs", "list"]


@dataclass(frozen=True, slots=True)
class KindField:
    """One field of a kind. `options` are those of a choice; `secret` says that it, or what it maps to, is masked."""

    name: str
    shape: Shape
    description: str
    required: bool
    default: str = ""
    options: tuple[str, ...] = ()
    secret: bool = False


def fields_of(schema: Mapping[str, Any]) -> tuple[KindField, ...]:
    """What the JSON Schema of a kind asks for, in its order."""
    required = schema.get("required", ())
    return tuple(
        _field(name, _resolved(field, schema), required=name in required)
        for name, field in schema.get("properties", {}).items()
    )


def number_of(text: str) -> int | float | str:
    """The number that a text is, or the text itself."""
    try:
        number = float(text)
    except ValueError:
        return text
    if not math.isfinite(number):
        return text
    return int(number) if number.is_integer() else number


def _resolved(field: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """The field without references and without the `null` of what may be left out."""
    if "$ref" in field:
        name = str(field["$ref"]).rpartition("/")[2]
        return {**_resolved(schema["$defs"][name], schema), **{key: v for key, v in field.items() if key != "$ref"}}
    some = [one for one in field.get("anyOf", ()) if one.get("type") != "null"]
    if len(some) == 1:
        return {**_resolved(some[0], schema), **{key: value for key, value in field.items() if key != "anyOf"}}
    return dict(field)


def _field(name: str, field: Mapping[str, Any], *, required: bool) -> KindField:
    secret = field.get(SECRET_KEYWORD) is True
    options = tuple(map(str, field.get("enum", [field["const"]] if "const" in field else ())))
    default = field.get("default")
    plain = isinstance(default, str | int | float) and not secret
    return KindField(
        name=name,
        shape=_shape(field, secret=secret, options=options),
        description=str(field.get("description", "")),
        required=required,
        default=str(default) if plain else "",
        options=options,
        secret=secret or _holds_secrets(field),
    )


def _shape(field: Mapping[str, Any], *, secret: bool, options: tuple[str, ...]) -> Shape:
    if options:
        return "choice"
    # A key in PEM has lines, which an input of one line would join.
    if any("\n" in str(example) for example in field.get("examples", ())):
        return "lines"
    if secret:
        return "secret"
    match field.get("type"):
        case "boolean":
            return "boolean"
        case "integer" | "number":
            return "number"
        case "object":
            return "pairs"
        case "array":
            return "list"
        case _:
            return "text"


def _holds_secrets(field: Mapping[str, Any]) -> bool:
    """Whether the values of a map are secret; pydantic writes them by the pattern of the names where there is one."""
    inner = [field.get("additionalProperties"), *field.get("patternProperties", {}).values()]
    return any(isinstance(one, Mapping) and one.get(SECRET_KEYWORD) is True for one in inner)
