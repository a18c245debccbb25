"""JSON: reading it and writing it."""

import json
from collections.abc import Mapping
from datetime import date, datetime, timedelta

from budflow.expressions.arguments import text as as_text
from budflow.expressions.budget import Budget, Fault
from budflow.expressions.declare import function, method
from budflow.expressions.suggest import shorten
from budflow.expressions.values import charge_deep, json_of


@function("parse_json", examples=[("parse_json('{\"a\": [1, null]}')", {"a": [1, None]})])
def parse_json_function(budget: Budget, text: str) -> object:
    """The data that this JSON text holds."""
    return _parsed(budget, as_text(text))


@method(str, name="parse_json", examples=[("'[1, true]'.parse_json()", [1, True])])
def parse_json(budget: Budget, text: str) -> object:
    """The data that this JSON text holds."""
    return _parsed(budget, text)


@method(str, name="parse_json_or", examples=[("'no json'.parse_json_or({})", {}), ("'[1]'.parse_json_or(None)", [1])])
def parse_json_or(budget: Budget, text: str, default: object) -> object:
    """The data that this JSON text holds, or `default` when it is no JSON."""
    try:
        return _parsed(budget, text)
    except Fault as fault:
        if fault.over_budget:
            raise
        return default


@method(str, name="is_json", examples=[("'[1, 2]'.is_json()", True), ("'[1, 2'.is_json()", False)])
def is_json(budget: Budget, text: str) -> bool:
    """Whether the text is JSON."""
    try:
        _parsed(budget, text)
    except Fault as fault:
        if fault.over_budget:
            raise
        return False
    return True


@function("to_json", examples=[("to_json({'a': 'ü', 't': $now})", '{"a":"ü","t":"2026-01-31T13:05:09+00:00"}')])
def to_json_function(budget: Budget, value: object, indent: int | None = None, sort_keys: bool = False) -> str:
    """The value as JSON text, compact unless `indent` says how many spaces a level gets."""
    return _written(budget, value, indent, sort_keys)


@method(
    *(str, int, float, bool, list, tuple, set, frozenset, dict, datetime, date, timedelta),
    name="to_json",
    examples=[("[1, 'a', None].to_json()", '[1,"a",null]'), ("{'a': 1}.to_json(indent=2)", '{\n  "a": 1\n}')],
)
def to_json(budget: Budget, value: object, indent: int | None = None, sort_keys: bool = False) -> str:
    """The value as JSON text, compact unless `indent` says how many spaces a level gets."""
    return _written(budget, value, indent, sort_keys)


def _written(budget: Budget, value: object, indent: int | None, sort_keys: bool) -> str:
    if indent is not None and (type(indent) is not int or not 0 <= indent <= 8):
        raise Fault("indent must be from 0 to 8")
    return json_of(budget, _sorted(budget, value) if sort_keys else value, indent=indent)


def _sorted(budget: Budget, value: object) -> object:
    charge_deep(budget, value)
    return _with_sorted_keys(value)


def _with_sorted_keys(value: object) -> object:
    if isinstance(value, Mapping):
        return {name: _with_sorted_keys(value[name]) for name in sorted(value, key=str)}
    return [_with_sorted_keys(element) for element in value] if isinstance(value, (list, tuple)) else value


def _parsed(budget: Budget, text: str) -> object:
    budget.text(len(text))
    # Weighed before parsing: each of these characters can begin an element, and an element costs more than its text.
    budget.elements(text.count(",") + text.count("[") + text.count("{"))
    try:
        value: object = json.loads(text)
    except ValueError as error:
        raise Fault(f"{shorten(text, 30)!r} is not JSON: {error}") from None
    except RecursionError:
        raise Fault("the JSON is nested too deeply") from None
    charge_deep(budget, value)
    return value
