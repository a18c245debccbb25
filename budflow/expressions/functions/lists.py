"""Functions on lists, and on what can be read as one: tuples, sets, the keys of a dict."""

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from itertools import chain
from typing import Any

from budflow.expressions.budget import Budget, Fault
from budflow.expressions.compare import contains as contains_value, equal, has_key
from budflow.expressions.declare import function, method
from budflow.expressions.functions.text import join_values
from budflow.expressions.values import (
    KEYS,
    NUMBERS,
    SETS,
    Sequence,
    charge_deep,
    json_of,
    key,
    within_bits,
    word_of,
)

SORT_FACTOR = 4  # Comparing costs about so many walks through the list.


@method(list, tuple, name="first")
def first(budget: Budget, values: Sequence, default: object = None) -> object:
    """The first element, or `default` of an empty list."""
    return values[0] if values else default


@method(list, tuple, name="last")
def last(budget: Budget, values: Sequence, default: object = None) -> object:
    """The last element, or `default` of an empty list."""
    return values[-1] if values else default


@method(list, tuple, set, frozenset, name="length")
def length(budget: Budget, values: Sequence) -> int:
    """How many elements there are."""
    return len(values)


@method(list, tuple, set, frozenset, name="join")
def join(budget: Budget, values: Sequence, separator: str = ",") -> str:
    """The elements as one text with the separator between them."""
    return join_values(budget, separator, values)


@method(list, tuple, set, frozenset, name="contains")
def contains(budget: Budget, values: Sequence, value: object) -> bool:
    """Whether the value is among the elements."""
    return contains_value(budget, value, values)


@method(list, tuple, name="index")
def index(budget: Budget, values: Sequence, value: object) -> int:
    """Where the value first is, or -1."""
    budget.elements(len(values))
    return next((at for at, element in enumerate(values) if equal(budget, element, value)), -1)


@method(list, tuple, name="count")
def count(budget: Budget, values: Sequence, value: object) -> int:
    """How many elements equal the value."""
    budget.elements(len(values))
    return sum(equal(budget, element, value) for element in values)


@method(list, tuple, set, frozenset, name="sum")
def sum_method(budget: Budget, values: Sequence) -> object:
    """The sum of the numbers, or durations."""
    return _sum(budget, values)


@method(list, tuple, set, frozenset, name="average")
def average(budget: Budget, values: Sequence) -> object:
    """The mean of the numbers; None of an empty list."""
    total = _sum(budget, values)
    return total / len(values) if values else None  # type: ignore[operator]  # _sum gives a number or a duration


@method(list, tuple, set, frozenset, name="min")
def min_method(budget: Budget, values: Sequence, by: str | None = None) -> object:
    """The smallest element (by the value under the key `by`); None of an empty list."""
    return _extreme(budget, values, by, min)


@method(list, tuple, set, frozenset, name="max")
def max_method(budget: Budget, values: Sequence, by: str | None = None) -> object:
    """The largest element (by the value under the key `by`); None of an empty list."""
    return _extreme(budget, values, by, max)


@method(list, tuple, set, frozenset, name="sort")
def sort(budget: Budget, values: Sequence, by: str | None = None, descending: bool = False) -> list[object]:
    """A sorted copy, by the value under the key `by` if one is given."""
    return _sorted(budget, values, by, descending)


@method(list, tuple, name="reverse")
def reverse(budget: Budget, values: Sequence) -> list[object]:
    """A copy in the opposite order."""
    budget.elements(len(values))
    return list(values[::-1])


@method(list, tuple, name="unique")
def unique(budget: Budget, values: Sequence, by: str | None = None) -> list[object]:
    """The elements (told apart by the value under the key `by`) without repetitions, in their order."""
    budget.elements(len(values))
    seen: set[object] = set()
    kept: list[object] = []
    for value in values:
        identity = _identity(budget, value if by is None else _field(value, by))
        if identity not in seen:
            seen.add(identity)
            kept.append(value)
    return kept


@method(list, tuple, name="compact")
def compact(budget: Budget, values: Sequence) -> list[object]:
    """The elements without None and empty text."""
    budget.elements(len(values))
    return [value for value in values if value is not None and not (type(value) is str and not value)]


@method(list, tuple, name="flatten")
def flatten(budget: Budget, values: Sequence) -> list[object]:
    """One list of the elements, and of the elements of those that are lists."""
    budget.elements(len(values))
    inner = [value if isinstance(value, (list, tuple)) else (value,) for value in values]
    budget.elements(sum(map(len, inner)))
    return list(chain.from_iterable(inner))


@method(list, tuple, name="chunk")
def chunk(budget: Budget, values: Sequence, size: int) -> list[object]:
    """Lists of at most `size` elements, in order."""
    if type(size) is not int or size < 1:
        raise Fault("size must be a whole number from 1")
    budget.elements(len(values))
    return [list(values[at : at + size]) for at in range(0, len(values), size)]


@method(list, tuple, name="pluck")
def pluck(budget: Budget, values: Sequence, name: str) -> list[object]:
    """What each element has under this key; None where it has none."""
    budget.elements(len(values))
    return [_field(value, name) for value in values]


@method(list, tuple, name="where")
def where(budget: Budget, values: Sequence, name: str, value: object) -> list[object]:
    """The elements that have this value under this key."""
    budget.elements(len(values))
    return [element for element in values if equal(budget, _field(element, name), value)]


@method(list, tuple, name="group_by")
def group_by(budget: Budget, values: Sequence, name: str) -> dict[object, list[object]]:
    """The elements as lists under what each has under this key."""
    budget.elements(len(values))
    groups: dict[object, list[object]] = {}
    for value in values:
        groups.setdefault(key(_field(value, name)), []).append(value)
    return groups


@method(list, tuple, name="index_by")
def index_by(budget: Budget, values: Sequence, name: str) -> dict[object, object]:
    """The elements under what each has under this key; of several, the last."""
    budget.elements(len(values))
    return {key(_field(value, name)): value for value in values}


@function("len")
def len_function(budget: Budget, value: object) -> int:
    """How many characters, elements or keys the value has."""
    if isinstance(value, (str, list, tuple, set, frozenset, Mapping)):
        return len(value)
    raise Fault(f"{word_of(value)} has no length")


@function("sum")
def sum_function(budget: Budget, values: object) -> object:
    """The sum of the numbers, or durations."""
    return _sum(budget, _elements(budget, values))


@function("min")
def min_function(budget: Budget, *values: object) -> object:
    """The smallest of the arguments, or of the one list given."""
    return _extreme(budget, _elements(budget, values[0]) if len(values) == 1 else values, None, min)


@function("max")
def max_function(budget: Budget, *values: object) -> object:
    """The largest of the arguments, or of the one list given."""
    return _extreme(budget, _elements(budget, values[0]) if len(values) == 1 else values, None, max)


@function("sorted")
def sorted_function(budget: Budget, values: object, by: str | None = None, descending: bool = False) -> list[object]:
    """A sorted copy, by the value under the key `by` if one is given."""
    return _sorted(budget, _elements(budget, values), by, descending)


@function("reversed")
def reversed_function(budget: Budget, values: object) -> list[object]:
    """A copy in the opposite order."""
    return list(_elements(budget, values))[::-1]


@function("any")
def any_function(budget: Budget, values: object) -> bool:
    """Whether at least one element counts as true."""
    return any(_elements(budget, values))


@function("all")
def all_function(budget: Budget, values: object) -> bool:
    """Whether every element counts as true."""
    return all(_elements(budget, values))


@function("list")
def list_function(budget: Budget, values: object = ()) -> list[object]:
    """A list of the elements, the characters of a text or the keys of a dict."""
    return list(_elements(budget, values))


@function("set")
def set_function(budget: Budget, values: object = ()) -> set[object]:
    """A set of the elements: text, numbers, bools, datetimes."""
    return {key(value) for value in _elements(budget, values)}


@function("enumerate")
def enumerate_function(budget: Budget, values: object, start: int = 0) -> list[object]:
    """Pairs of a number counted from `start`, and an element."""
    elements = _elements(budget, values)
    budget.spend(len(elements))
    return list(enumerate(elements, within_bits(start)))  # type: ignore[arg-type]  # enumerate itself refuses non-ints


@function("zip")
def zip_function(budget: Budget, *values: object) -> list[object]:
    """Tuples of the first, second, … elements, as long as the shortest list."""
    elements = [_elements(budget, value) for value in values]
    budget.spend(min(map(len, elements), default=0) * len(elements))
    return list(zip(*elements, strict=False))


def _elements(budget: Budget, values: object) -> Sequence:
    if not isinstance(values, (str, list, tuple, set, frozenset, Mapping)):
        raise Fault(f"{word_of(values)} is not a list")
    budget.elements(len(values))
    return values if isinstance(values, (list, tuple)) else list(values)


def _field(value: object, name: str) -> object:
    if not isinstance(value, Mapping):
        raise Fault(f"the list holds {word_of(value)}, not only dicts")
    return value[name] if has_key(value, name) else None


def _identity(budget: Budget, value: object) -> object:
    kind = type(value)
    if kind in NUMBERS or kind in KEYS:
        return key(value)
    return (kind, json_of(budget, value))


def _sum(budget: Budget, values: Iterable[object]) -> object:
    total: object = 0
    for value in values:
        budget.steps -= 1
        if type(value) not in NUMBERS and type(value) is not timedelta:
            raise Fault(f"the list holds {word_of(value)}, which cannot be added up")
        if total == 0 and type(value) is timedelta:
            total = timedelta()
        total = within_bits(total + value)  # type: ignore[operator]  # both are numbers or durations
    budget.spend(0)
    return total


def _sorted(budget: Budget, values: Sequence, by: str | None, descending: bool) -> list[object]:
    budget.elements(len(values))
    return sorted(values, key=_sort_key(budget, values, by), reverse=bool(descending))


def _extreme(budget: Budget, values: Sequence, by: str | None, pick: Callable[..., object]) -> object:
    if not values:
        return None
    return pick(values, key=_sort_key(budget, values, by))


def _sort_key(budget: Budget, values: Sequence, by: str | None) -> Callable[[object], Any]:
    """What elements are compared by; charges for comparing, and refuses what cannot be ordered."""
    compared = list(values) if by is None else [_field(value, by) for value in values]
    if any(isinstance(value, Mapping) or type(value) in SETS for value in compared):
        raise Fault("dicts and sets have no order", 'Sort by what they have under a key: .sort(by="name").')
    budget.spend(_sort_steps(budget, compared))
    if by is None:
        return lambda value: value
    return lambda value: _field(value, by)


def _sort_steps(budget: Budget, values: list[object]) -> int:
    """Charge one walk through the list; returns the steps that sorting it costs beyond that."""
    before = budget.steps
    charge_deep(budget, values)
    return (before - budget.steps) * (SORT_FACTOR - 1 if len(values) > SORT_FACTOR else 0)
