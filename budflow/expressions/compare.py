"""Comparison and membership inside expressions: Python's, after charging what comparing deep data can cost."""

import operator
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from budflow.expressions.budget import ELEMENTS_A_STEP, SCANNED_CHARS_A_STEP, Budget, Fault
from budflow.expressions.values import NUMBERS, OPAQUE_HINT, SCALARS, SETS, Opaque, charge_deep, key, word_of

Comparison = Callable[[Budget, object, object], bool]


def equal(budget: Budget, left: object, right: object) -> bool:
    """`left == right`; values of different kinds are never equal, numbers aside."""
    _charge(budget, left, right)
    return bool(left == right)


def unequal(budget: Budget, left: object, right: object) -> bool:
    """`left != right`."""
    return not equal(budget, left, right)


def contains(budget: Budget, value: object, values: object) -> bool:
    """`value in values`: a part of a text, an element of a list or set, a key of a dict."""
    kind = type(values)
    if kind is str:
        if type(value) is not str:
            raise Fault(f"{word_of(value)} cannot be inside of a text", "Write str(value) to look for it as text.")
        budget.search(values, value)  # type: ignore[arg-type]  # both are str, by the lines above
        return value in values  # type: ignore[operator]  # a str here
    if isinstance(values, Mapping):
        return has_key(values, value)
    if kind in SETS:
        return key(value) in values  # type: ignore[operator]  # a set here
    if isinstance(values, (list, tuple)):
        if type(value) is str:
            budget.spend(len(values) * (1 + len(value) // SCANNED_CHARS_A_STEP) // ELEMENTS_A_STEP)
        elif type(value) in SCALARS:
            budget.elements(len(values))
        else:
            charge_deep(budget, value)
            charge_deep(budget, values)
        _refuse_opaque(value)
        return value in values
    raise Fault(f"{word_of(values)} has nothing inside", "`in` looks into text, lists, sets and dicts.")


def contains_not(budget: Budget, value: object, values: object) -> bool:
    """`value not in values`."""
    return not contains(budget, value, values)


def has_key(data: Mapping[object, object], name: object) -> bool:
    """Whether the mapping has the key, which must be of a kind that can be one."""
    return key(name) in data


def merged(budget: Budget, data: Mapping[object, object], other: object) -> dict[object, object]:
    """A new dict of both, where the other's values stand."""
    if not isinstance(other, Mapping):
        raise Fault(f"{word_of(other)} is not a dict")
    budget.elements(len(data) + len(other))
    return {**data, **other}


def ordered(compare: Callable[[Any, Any], object], sign: str) -> Comparison:
    """The comparison `<`, `<=`, `>` or `>=` of two numbers, two texts, two times, two lists."""

    def comparison(budget: Budget, left: object, right: object) -> bool:
        _charge(budget, left, right)
        try:
            return bool(compare(left, right))
        except TypeError:
            words = f"{word_of(left)} and {word_of(right)}"
            raise Fault(f"{words} cannot be compared by `{sign}`", _advice_on({type(left), type(right)})) from None

    return comparison


def chain(budget: Budget, left: object, *links: tuple[str, Callable[[], object]]) -> bool:
    """`a < b <= c`: each operand is evaluated once, and none after the first comparison that is false."""
    for sign, operand in links:
        right = operand()
        if not COMPARISONS[sign](budget, left, right):
            return False
        left = right
    return True


def _advice_on(kinds: set[type]) -> str:
    """How values of these two types could be compared."""
    if type(None) in kinds:
        return "A value that may be None needs a default: (x or 0)."
    if str not in kinds:
        return ""
    return "Write float(x) to compare text as a number." if kinds & NUMBERS else "Write parse_datetime(x) for text."


def _is(budget: Budget, left: object, right: object) -> bool:
    return left is right


def _is_not(budget: Budget, left: object, right: object) -> bool:
    return left is not right


def _charge(budget: Budget, left: object, right: object) -> None:
    left_kind, right_kind = type(left), type(right)
    if left_kind in NUMBERS or right_kind in NUMBERS:
        pass
    elif left_kind is str and right_kind is str:
        budget.scan(min(len(left), len(right)))  # type: ignore[arg-type]  # both are str
    elif left_kind not in SCALARS and right_kind not in SCALARS:
        charge_deep(budget, left)
        charge_deep(budget, right)
    _refuse_opaque(left)
    _refuse_opaque(right)


def _refuse_opaque(value: object) -> None:
    if isinstance(value, Opaque):
        raise Fault("a secret value cannot be compared", OPAQUE_HINT)


COMPARISONS: Mapping[str, Comparison] = MappingProxyType(
    {
        "==": equal,
        "!=": unequal,
        "<": ordered(operator.lt, "<"),
        "<=": ordered(operator.le, "<="),
        ">": ordered(operator.gt, ">"),
        ">=": ordered(operator.ge, ">="),
        "in": contains,
        "not in": contains_not,
        "is": _is,
        "is not": _is_not,
    }
)
