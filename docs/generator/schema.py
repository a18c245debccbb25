"""JSON Schema as rows of a table, one a property at any depth: `signature.secret`, `cases[].port`."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from generator.markdown import code, json_text

#: Keyword → how a limit is told.
LIMITS = {
    "minimum": "≥ {}",
    "exclusiveMinimum": "> {}",
    "maximum": "≤ {}",
    "exclusiveMaximum": "< {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} elements",
    "maxItems": "at most {} elements",
    "maxProperties": "at most {} entries",
    "format": "{}",
}


class Row(NamedTuple):
    """One property as it is told: `default` is `required` where there must be a value."""

    name: str
    type: str
    default: str
    static: bool
    description: str


def rows(schema: Mapping[str, Any], definitions: Mapping[str, Any] | None = None, prefix: str = "") -> Iterator[Row]:
    """Every property of an object's schema, in order, each followed by those inside it."""
    known = definitions if definitions is not None else schema.get("$defs", {})
    required = schema.get("required", ())
    for name, declared in schema.get("properties", {}).items():
        found = resolve(declared, known)
        path = prefix + name
        default = "required" if name in required else code(json_text(found.get("default")))
        static = bool(found.get("x-static"))
        yield Row(path, type_of(found, known), default, static, found.get("description", ""))
        for inner, mark in _objects(found, known):
            yield from rows(inner, known, f"{path}{mark}.")


def resolve(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema with a reference replaced by what it names."""
    if "$ref" not in schema:
        return schema
    return {**definitions[schema["$ref"].rpartition("/")[2]], **{k: v for k, v in schema.items() if k != "$ref"}}


def type_of(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """The type in words, with its limits."""
    found = resolve(schema, definitions)
    options = found.get("anyOf") or found.get("oneOf")
    if options:
        return " or ".join(dict.fromkeys(type_of(option, definitions) for option in options))
    if "const" in found:
        return code(json_text(found["const"]))
    if "enum" in found:
        return " ".join(code(json_text(value)) for value in found["enum"])
    kind = found.get("type", "any JSON")
    if kind == "array" and found.get("items"):
        kind = f"list of {type_of(found['items'], definitions)}"
    elif kind == "object" and found.get("additionalProperties"):
        values = found["additionalProperties"]
        kind = "object" if values is True else f"object of {type_of(values, definitions)}"
    limits = [text.format(found[keyword]) for keyword, text in LIMITS.items() if keyword in found]
    if "pattern" in found:
        limits.append(f"like {code(found['pattern'])}")
    return f"{kind} ({', '.join(limits)})" if limits else str(kind)


def _objects(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], str]]:
    """The objects with named properties inside a value, and how a path shows the step into each."""
    found = resolve(schema, definitions)
    if "properties" in found:
        yield found, ""
    for option in (*found.get("anyOf", ()), *found.get("oneOf", ())):
        yield from _objects(option, definitions)
    if isinstance(found.get("items"), Mapping):
        yield from ((inner, f"[]{mark}") for inner, mark in _objects(found["items"], definitions))
    if isinstance(found.get("additionalProperties"), Mapping):
        yield from ((inner, f".KEY{mark}") for inner, mark in _objects(found["additionalProperties"], definitions))
