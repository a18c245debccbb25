"""The JSON Schema of a node type's parameters as people, the editor and agents read it."""

from typing import Any, get_args

from pydantic import BaseModel

from budflow.model.node import Params, StaticMark, VerbatimMark

#: Says of a property that it takes no expression; any other string may hold `{{ }}`, whatever type is asked for.
STATIC_KEYWORD = "x-static"
FIRST = ("type", "description", "required", "properties")


def parameter_schema(params: type[Params]) -> dict[str, Any]:
    """JSON Schema (draft 2020-12) without titles and references, `required` before `properties`.

    A property that must not hold an expression carries `"x-static": true`. Nested models must not be recursive.
    """
    schema = params.model_json_schema()
    definitions = schema.pop("$defs", {})
    for model in (params, *_nested_models(params)):
        properties = (schema if model is params else definitions[model.__name__]).get("properties", {})
        for name, field in model.model_fields.items():
            if any(isinstance(mark, StaticMark | VerbatimMark) for mark in field.metadata):
                properties[name][STATIC_KEYWORD] = True
    schema.pop("description", None)  # The docstring of the model class, which is not about a parameter.
    tidied: dict[str, Any] = _tidy(schema, definitions)
    tidied.setdefault("properties", {})
    return tidied


def _nested_models(model: type[BaseModel]) -> list[type[BaseModel]]:
    found: list[type[BaseModel]] = []
    pending: list[Any] = [field.annotation for field in model.model_fields.values()]
    while pending:
        annotation = pending.pop()
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            found.append(annotation)
            pending.extend(field.annotation for field in annotation.model_fields.values())
        pending.extend(get_args(annotation))
    return found


def _tidy(schema: Any, definitions: dict[str, Any]) -> Any:
    """Inline the references, drop the titles and order the keywords, at every depth."""
    if isinstance(schema, list):
        return [_tidy(part, definitions) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        target = definitions[schema["$ref"].rpartition("/")[2]]
        beside = {keyword: part for keyword, part in schema.items() if keyword != "$ref"}
        return _tidy({**target, **beside}, definitions)
    keywords = {keyword: part for keyword, part in schema.items() if keyword not in ("title", "properties")}
    if "properties" in schema:  # Below it stand names and not keywords: a parameter may be called `title`.
        keywords["properties"] = schema["properties"]
    ordered = sorted(keywords, key=lambda keyword: FIRST.index(keyword) if keyword in FIRST else len(FIRST))
    return {
        keyword: {name: _tidy(part, definitions) for name, part in keywords[keyword].items()}
        if keyword == "properties"
        else keywords[keyword]
        if keyword in ("default", "enum", "const", "examples")
        else _tidy(keywords[keyword], definitions)
        for keyword in ordered
    }
