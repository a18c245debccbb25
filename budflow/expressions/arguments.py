"""What the functions of the library read their arguments by: each gives the value as its type, or a clear fault."""

from collections.abc import Mapping
from datetime import date, datetime
from math import isfinite

from budflow.expressions.budget import Budget, Fault
from budflow.expressions.compare import has_key
from budflow.expressions.suggest import did_you_mean, shorten
from budflow.expressions.values import KEYS, NUMBERS, SETS, Sequence, in_order, json_of, key, word_of

MIDNIGHT = datetime.min.time()
STEPS_A_WRITING = 8  # What even the smallest value takes to be written as JSON.


def text(value: object, what: str = "the argument") -> str:
    """A text."""
    if type(value) is not str:
        raise Fault(f"{what} must be a text, and this is {word_of(value)}", "Write str(x) to make it text.")
    return value


def whole(value: object, what: str = "the argument", *, low: int | None = None, high: int | None = None) -> int:
    """A whole number, within the bounds."""
    if type(value) is not int:
        raise Fault(f"{what} must be a whole number, and this is {word_of(value)}")
    if (low is not None and value < low) or (high is not None and value > high):
        bounds = (
            f"from {low:,}" if high is None else f"at most {high:,}" if low is None else f"from {low:,} to {high:,}"
        )
        raise Fault(f"{what} must be {bounds}")
    return value


def number(value: object, what: str = "the argument") -> float:
    """A finite number; a bool is none here."""
    if type(value) not in NUMBERS or type(value) is bool:
        raise Fault(f"{what} must be a number, and this is {word_of(value)}")
    if type(value) is float and not isfinite(value):
        raise Fault(f"{what} is no finite number")
    return value  # type: ignore[return-value]  # an int or a float, by the lines above


def one_of(value: object, known: Mapping[str, object] | tuple[str, ...], what: str) -> str:
    """One of the known words."""
    if type(value) is not str or value not in known:
        shown = shorten(value, 20) if isinstance(value, str) else word_of(value)
        raise Fault(f"there is no {what} {shown!r}", did_you_mean(value, known, label="Known"))
    return value


def elements(budget: Budget, values: object) -> Sequence:
    """The elements of a list, tuple or set, the characters of a text, the keys of a dict."""
    kind = type(values)
    if kind is list or kind is tuple:
        budget.elements(len(values))  # type: ignore[arg-type]  # a list or tuple
        return values  # type: ignore[return-value]  # as above
    if not isinstance(values, (str, set, frozenset, Mapping)):
        raise Fault(f"{word_of(values)} is not a list", "A value that may be None needs a default: (x or []).")
    budget.elements(len(values))
    return in_order(values) if type(values) in SETS else list(values)


def listed(budget: Budget, values: object, what: str = "the argument") -> Sequence:
    """The elements of a list, tuple or set."""
    if not isinstance(values, (list, tuple, set, frozenset)):
        raise Fault(f"{what} must be a list, and this is {word_of(values)}")
    budget.elements(len(values))
    return values if isinstance(values, (list, tuple)) else in_order(values)


def mapping(value: object, what: str = "the argument") -> Mapping[object, object]:
    """A dict."""
    if not isinstance(value, Mapping):
        raise Fault(f"{what} must be a dict, and this is {word_of(value)}")
    return value


def field(value: object, name: object) -> object:
    """What a dict in a list has under the key; None where it has none."""
    if type(value) is dict and type(name) is str:
        return value.get(name)
    if not isinstance(value, Mapping):
        raise Fault(f"the list holds {word_of(value)}, not only dicts")
    return value[name] if has_key(value, name) else None


def identity(budget: Budget, value: object) -> object:
    """What tells a value from others, as a key: the value itself, or how it is written as JSON."""
    kind = type(value)
    if kind is str:
        return value
    if kind in NUMBERS or kind in KEYS:
        return key(value)
    budget.spend(STEPS_A_WRITING)
    return (kind, json_of(budget, value))


def moment(value: object, what: str = "the argument") -> datetime:
    """A datetime, or the midnight a date begins with."""
    if type(value) is datetime:
        return value
    if type(value) is date:
        return datetime.combine(value, MIDNIGHT)
    raise Fault(f"{what} must be a datetime, and this is {word_of(value)}", "Write parse_datetime(x) for text.")


def now(budget: Budget) -> datetime:
    """`$now`."""
    found = None if budget.around is None else budget.around.names.get("now")
    if type(found) is not datetime:
        raise Fault("the time is not known here", "Name the moment to compare with.")
    return found
