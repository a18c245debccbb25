"""Lists: sorting, and each element only once."""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, cast

from budflow.expressions.arguments import elements, field, identity, listed, text as as_text
from budflow.expressions.budget import Budget, Fault
from budflow.expressions.declare import function, method
from budflow.expressions.values import SCALARS, SETS, Sequence, charge_deep

SORT_FACTOR = 4  # Comparing costs about so many walks through the list.
KEYS_MAX = 10


@method(
    *(list, tuple, set, frozenset),
    name="sort",
    examples=[
        ("[3, 1, 2].sort(), [3, 1, 2].sort(descending=True)", [[1, 2, 3], [3, 2, 1]]),
        ("$json.rows.sort(by='n').pluck('id')", ["a", "b"], {"rows": [{"id": "b", "n": 2}, {"id": "a", "n": 1}]}),
    ],
)
def sort(budget: Budget, values: Sequence, by: str | None = None, descending: bool = False) -> list[object]:
    """A sorted copy, by the value under the key `by` if one is given."""
    return _sorted(budget, values, by, descending)


@method(
    *(list, tuple),
    name="sort_by",
    examples=[
        (
            "$json.rows.sort_by('city', '-age').pluck('id')",
            [3, 1, 2],
            {
                "rows": [
                    {"id": 1, "city": "Rome", "age": 50},
                    {"id": 2, "city": "Rome", "age": 20},
                    {"id": 3, "city": "Bern", "age": 9},
                ]
            },
        )
    ],
)
def sort_by(budget: Budget, values: Sequence, *keys: str) -> list[object]:
    """A copy sorted by the values under several keys, one after the other; a `-` before a key sorts it descending."""
    if not 0 < len(keys) <= KEYS_MAX:
        raise Fault(f"sort by 1 to {KEYS_MAX} keys")
    made = list(values)
    for name in reversed(keys):  # A stable sort by the last key first gives the order by all.
        descending = as_text(name, "a key").startswith("-")
        made = _sorted(budget, made, name[1:] if descending else name, descending)
    return made


@function("sorted", examples=[("sorted('bca'), sorted([1, 3, 2], descending=True)", [["a", "b", "c"], [3, 2, 1]])])
def sorted_function(budget: Budget, values: object, by: str | None = None, descending: bool = False) -> list[object]:
    """A sorted copy, by the value under the key `by` if one is given."""
    return _sorted(budget, elements(budget, values), by, descending)


@method(
    *(list, tuple),
    name="unique",
    examples=[
        ("[1, 2, 1, 'a', 'a'].unique()", [1, 2, "a"]),
        ("$json.rows.unique('n')", [{"n": 1, "x": 1}], {"rows": [{"n": 1, "x": 1}, {"n": 1, "x": 2}]}),
    ],
)
def unique(budget: Budget, values: Sequence, *keys: str, by: str | None = None) -> list[object]:
    """The elements (told apart by the values under the keys) without repetitions, in their order."""
    names = keys if by is None else (*keys, by)
    seen: set[object] = set()
    kept: list[object] = []
    for value in listed(budget, values):
        told = identity(budget, value if not names else _fields(value, names))
        if told not in seen:
            seen.add(told)
            kept.append(value)
    return kept


@method(list, tuple, name="duplicates", examples=[("['a', 'b', 'a', 'c', 'b', 'a'].duplicates()", ["a", "b"])])
def duplicates(budget: Budget, values: Sequence, by: str | None = None) -> list[object]:
    """The elements that occur more than once (by the value under the key `by`), each as it first repeats."""
    seen: set[object] = set()
    told_already: set[object] = set()
    made: list[object] = []
    for value in listed(budget, values):
        told = identity(budget, value if by is None else field(value, by))
        if told in seen and told not in told_already:
            told_already.add(told)
            made.append(value)
        seen.add(told)
    return made


@method(list, tuple, name="is_sorted", examples=[("[1, 2, 2].is_sorted()", True)])
def is_sorted(budget: Budget, values: Sequence, by: str | None = None) -> bool:
    """Whether no element is smaller than the one before it."""
    compared = _compared(budget, values, by)
    return all(not following < before for before, following in pairwise(compared))


def extreme(budget: Budget, values: Sequence, by: str | None, pick: Callable[..., Any]) -> object:
    """The smallest or largest element; None of an empty list."""
    if not values:
        return None
    compared = _compared(budget, values, by)
    if by is None:
        return cast("object", pick(compared))
    return values[pick(range(len(compared)), key=compared.__getitem__)]


def _sorted(budget: Budget, values: Sequence, by: str | None, descending: bool) -> list[object]:
    budget.elements(len(values))
    compared = _compared(budget, values, by)
    if by is None:
        return sorted(compared, reverse=bool(descending))
    ordered = list(values)
    return [ordered[at] for at in sorted(range(len(ordered)), key=compared.__getitem__, reverse=bool(descending))]


def _fields(value: object, names: Sequence) -> object:
    return field(value, names[0]) if len(names) == 1 else [field(value, name) for name in names]


def _compared(budget: Budget, values: Sequence, by: str | None) -> list[Any]:
    """What elements are compared by; charges for comparing, and refuses what cannot be ordered."""
    compared: list[Any] = list(values) if by is None else [field(value, by) for value in values]
    for value in compared:
        if type(value) not in SCALARS and (isinstance(value, Mapping) or type(value) in SETS):
            raise Fault("dicts and sets have no order", 'Sort by what they have under a key: .sort(by="name").')
    budget.spend(_sort_steps(budget, compared))
    return compared


def _sort_steps(budget: Budget, values: list[object]) -> int:
    """Charge one walk through the list; returns the steps that sorting it costs beyond that."""
    before = budget.steps
    charge_deep(budget, values)
    return (before - budget.steps) * (SORT_FACTOR - 1 if len(values) > SORT_FACTOR else 0)
