"""What is already wrong with parameters of which expressions give a part only when the node runs.

A model's own rules (its `@field_validator`s and `@model_validator`s) are tried too, which pydantic gives up as soon as
one of the fields is not valid: a rule that reads what is not known yet says nothing, every other says what it has.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from types import new_class
from typing import Any, cast

from pydantic import BaseModel, ValidationError
from pydantic_core import CoreSchema, ErrorDetails, SchemaValidator, core_schema

from budflow.expressions.tokenize import has_expression

#: What pydantic's core schemas hold that is no schema, and may be large.
_NO_SCHEMA = frozenset({"cls", "config", "metadata", "serialization", "default", "expected"})


def draft_errors(model: type[BaseModel], raw: Mapping[str, Any]) -> list[ErrorDetails]:
    """What pydantic says of all in `raw` that holds no expression, and that no expression can put right."""
    try:
        _validator(model).validate_python(raw)
    except ValidationError as error:
        return error.errors(include_url=False)
    return []


class _NotKnown(Exception):
    """A rule asked for what an expression gives."""


class _Later:
    """What stands for the value of an expression. No two are the same, and nothing else can be asked of them."""

    __slots__ = ()
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        raise _NotKnown

    def __bool__(self) -> bool:
        raise _NotKnown


@lru_cache(maxsize=1024)
def _validator(model: type[BaseModel]) -> SchemaValidator:
    return SchemaValidator(cast(CoreSchema, _draft(model.__pydantic_core_schema__)))


def _draft(schema: Any) -> Any:
    """The core schema that takes an expression for any value, and ends rules that ask for it."""
    if isinstance(schema, list | tuple):
        return type(schema)(_draft(part) for part in schema)
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") == "model-fields":  # By names of an author's choice, which may be any.
        return {**schema, "fields": {name: _draft(field) for name, field in schema["fields"].items()}}
    draft = {key: part if key in _NO_SCHEMA else _draft(part) for key, part in schema.items()}
    match draft.get("type"):
        case "function-after":
            draft["function"] = {**draft["function"], "function": _as_far_as_known(draft["function"]["function"])}
        case "model":
            # pydantic would take the model's own validator instead of this schema; an unfinished class has none.
            draft["cls"] = new_class(draft["cls"].__name__, (draft["cls"],), {"defer_build": True})
            return _around(draft, lambda inner: core_schema.no_info_after_validator_function(_without_later, inner))
        case "model-field":
            has_default = draft["schema"]["type"] == "default"
            holder = draft["schema"] if has_default else draft
            holder["schema"] = _around(holder["schema"], _or_later)
        case "list" | "tuple" if isinstance(draft.get("items_schema"), dict):
            draft["items_schema"] = _around(draft["items_schema"], _or_later)
        case "dict" if "values_schema" in draft:
            draft["values_schema"] = _around(draft["values_schema"], _or_later)
    return draft


def _around(schema: dict[str, Any], wrap: Callable[[CoreSchema], Any]) -> dict[str, Any]:
    """`schema` wrapped; who refers to it refers to the whole from now on."""
    inner = {key: part for key, part in schema.items() if key != "ref"}
    wrapped: dict[str, Any] = wrap(cast(CoreSchema, inner))
    return {**wrapped, "ref": schema["ref"]} if "ref" in schema else wrapped


def _or_later(inner: CoreSchema) -> CoreSchema:
    def check(value: Any, handler: core_schema.ValidatorFunctionWrapHandler) -> Any:
        return _Later() if isinstance(value, str) and has_expression(value) else handler(value)

    return core_schema.no_info_wrap_validator_function(check, inner)


def _without_later(made: BaseModel) -> BaseModel:
    """The same without the fields that are not known, so that a rule that reads one cannot go on."""
    for name in [name for name, value in made.__dict__.items() if isinstance(value, _Later)]:
        del made.__dict__[name]
    return made


def _as_far_as_known(rule: Callable[..., Any]) -> Callable[..., Any]:
    def run(value: Any, *info: Any) -> Any:
        if isinstance(value, _Later):
            return value
        try:
            return rule(value, *info)
        except (_NotKnown, AttributeError, TypeError):
            return value  # It read what is not known yet.

    return run
