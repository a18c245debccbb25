"""Any value: whether there is something, what stands in for nothing, and what kind of value it is."""

from collections.abc import Mapping, Sized
from datetime import date, datetime, timedelta

from budflow.expressions.budget import Budget
from budflow.expressions.compare import equal
from budflow.expressions.declare import function, method
from budflow.expressions.values import checked

EVERY = (str, int, float, bool, list, tuple, set, frozenset, dict, datetime, date, timedelta)
KINDS: Mapping[type, str] = {
    str: "text",
    int: "number",
    float: "number",
    bool: "bool",
    type(None): "none",
    datetime: "datetime",
    date: "date",
    timedelta: "duration",
    list: "list",
    tuple: "list",
    set: "set",
    frozenset: "set",
    dict: "dict",
}


@function("is_empty", examples=[("is_empty(None), is_empty(''), is_empty([]), is_empty(0)", [True, True, True, False])])
def is_empty_function(budget: Budget, value: object) -> bool:
    """Whether the value is None, or a text, list, set or dict with nothing in it; zero and False are something."""
    return _empty(value)


@method(*EVERY, name="is_empty", examples=[("''.is_empty(), 'a'.is_empty(), {}.is_empty()", [True, False, True])])
def is_empty(budget: Budget, value: object) -> bool:
    """Whether there is nothing in the text, list, set or dict; other values are never empty."""
    return _empty(value)


@method(*EVERY, name="is_not_empty", examples=[("'a'.is_not_empty(), [].is_not_empty()", [True, False])])
def is_not_empty(budget: Budget, value: object) -> bool:
    """Whether there is something in the text, list, set or dict; other values are never empty."""
    return not _empty(value)


@method(str, name="is_blank", examples=[("' \\n'.is_blank(), ' a '.is_blank()", [True, False])])
def is_blank(budget: Budget, text: str) -> bool:
    """Whether the text is empty or whitespace only."""
    budget.scan(len(text) * 8)
    return not text or text.isspace()


@function(
    "if_empty",
    examples=[
        ("if_empty($json.name, 'nobody')", "nobody", {"name": ""}),
        ("if_empty($json?.age, 18)", 0, {"age": 0}),
    ],
)
def if_empty(budget: Budget, value: object, default: object) -> object:
    """The value, or `default` when it is None or there is nothing in it; zero and False stay."""
    return default if _empty(value) else value


@function("coalesce", examples=[("coalesce($json?.nick, $json?.name, 'nobody')", "Ada", {"nick": None, "name": "Ada"})])
def coalesce(budget: Budget, *values: object) -> object:
    """The first of the values that is not None; None when all are."""
    return next((value for value in values if value is not None), None)


@function("first_filled", examples=[("first_filled('', [], 'x', 'y')", "x")])
def first_filled(budget: Budget, *values: object) -> object:
    """The first of the values that is not None and has something in it; None when none has."""
    return next((value for value in values if not _empty(value)), None)


@function("none_if", examples=[("none_if($json.city, 'n/a')", None, {"city": "n/a"})])
def none_if(budget: Budget, value: object, nothing: object) -> object:
    """None when the value equals `nothing`; else the value."""
    return None if equal(budget, value, nothing) else value


@function(
    "type_of",
    examples=[
        ("[type_of(x) for x in [1, 'a', None, [1], {}, $now]]", ["number", "text", "none", "list", "dict", "datetime"])
    ],
)
def type_of(budget: Budget, value: object) -> str:
    """What kind of value it is: text, number, bool, none, list, set, dict, datetime, date or duration."""
    return KINDS.get(type(checked(value)), "dict")


@function("switch", examples=[("switch($json.plan, {'free': 0, 'pro': 20}, 99)", 20, {"plan": "pro"})])
def switch(budget: Budget, value: object, cases: Mapping[object, object], default: object = None) -> object:
    """What stands in the dict of cases under the value; `default` when there is nothing."""
    if not isinstance(cases, Mapping):
        raise TypeError("cases must be a dict")
    return cases[value] if type(value) in (str, int, bool) and value in cases else default


def _empty(value: object) -> bool:
    if value is None:
        return True
    return (
        isinstance(value, (str, list, tuple, set, frozenset, Mapping)) and isinstance(value, Sized) and not len(value)
    )
