"""Lists: sums, means and other figures of their numbers."""

from collections.abc import Callable, Iterable
from datetime import timedelta
from math import sqrt

from budflow.expressions.arguments import elements, field, number
from budflow.expressions.budget import Budget, Fault
from budflow.expressions.declare import function, method
from budflow.expressions.functions.list_order import extreme
from budflow.expressions.values import NUMBERS, Sequence, within_bits, word_of

LISTS = (list, tuple, set, frozenset)


@method(
    *LISTS, name="sum", examples=[("[1, 2.5].sum()", 3.5), ("$json.rows.sum('n')", 3, {"rows": [{"n": 1}, {"n": 2}]})]
)
def sum_method(budget: Budget, values: Sequence, by: str | None = None) -> object:
    """The sum of the numbers, or durations (by what dicts have under the key `by`)."""
    return _sum(budget, _column(budget, values, by))


@method(*LISTS, name="average", examples=[("[1, 2, 6].average(), [].average()", [3.0, None])])
def average(budget: Budget, values: Sequence, by: str | None = None) -> object:
    """The mean of the numbers (by what dicts have under the key `by`); None of an empty list."""
    total = _sum(budget, _column(budget, values, by))
    return total / len(values) if values else None  # type: ignore[operator]  # _sum gives a number or a duration


@method(*LISTS, name="median", examples=[("[5, 1, 3, 2].median()", 2.5)])
def median(budget: Budget, values: Sequence, by: str | None = None) -> float | None:
    """The number in the middle, or the mean of the two there; None of an empty list."""
    return _quantile(_sorted(budget, values, by), 0.5)


@method(*LISTS, name="percentile", examples=[("[1, 2, 3, 4, 5].percentile(90)", 4.6)])
def percentile(budget: Budget, values: Sequence, percent: float, by: str | None = None) -> float | None:
    """The number below which so many per cent lie, between two in proportion; None of an empty list."""
    if not 0 <= number(percent, "percent") <= 100:
        raise Fault("percent is from 0 to 100")
    return _quantile(_sorted(budget, values, by), percent / 100)


@method(*LISTS, name="variance", examples=[("[2, 4, 4, 4, 5, 5, 7, 9].variance()", 4.0)])
def variance(budget: Budget, values: Sequence, by: str | None = None) -> float | None:
    """The mean of the squares of the distances from the mean; None of an empty list."""
    return _variance(budget, values, by)


@method(*LISTS, name="deviation", examples=[("[2, 4, 4, 4, 5, 5, 7, 9].deviation()", 2.0)])
def deviation(budget: Budget, values: Sequence, by: str | None = None) -> float | None:
    """The standard deviation: the root of the variance; None of an empty list."""
    found = _variance(budget, values, by)
    return None if found is None else sqrt(found)


@method(*LISTS, name="product", examples=[("[2, 3, 4].product()", 24)])
def product(budget: Budget, values: Sequence) -> object:
    """The product of the numbers."""
    total: object = 1
    for value in _column(budget, values, None):
        budget.spend(1)
        total = within_bits(total * number(value, "each element"))  # type: ignore[operator]  # numbers
    return total


@method(list, tuple, name="running_sum", examples=[("[1, 2, 3].running_sum()", [1, 3, 6])])
def running_sum(budget: Budget, values: Sequence) -> list[object]:
    """For each element the sum of it and those before it."""
    total: float = 0
    made: list[object] = []
    for value in _column(budget, values, None):
        budget.spend(1)
        total = within_bits(total + number(value, "each element"))  # type: ignore[assignment]  # a number
        made.append(total)
    return made


@method(*LISTS, name="min", examples=[("[3, 1, 2].min(), ['b', 'a'].min()", [1, "a"])])
def min_method(budget: Budget, values: Sequence, by: str | None = None) -> object:
    """The smallest element (by the value under the key `by`); None of an empty list."""
    return extreme(budget, values, by, min)


@method(
    *LISTS,
    name="max",
    examples=[("$json.rows.max(by='n').id", "b", {"rows": [{"id": "a", "n": 1}, {"id": "b", "n": 5}]})],
)
def max_method(budget: Budget, values: Sequence, by: str | None = None) -> object:
    """The largest element (by the value under the key `by`); None of an empty list."""
    return extreme(budget, values, by, max)


@function("sum", examples=[("sum(x * x for x in range(4))", 14)])
def sum_function(budget: Budget, values: object) -> object:
    """The sum of the numbers, or durations."""
    return _sum(budget, elements(budget, values))


@function("average", examples=[("average(1, 2, 6), average([4])", [3.0, 4.0])])
def average_function(budget: Budget, *values: object) -> object:
    """The mean of the arguments, or of the one list given; None of nothing."""
    numbers = _given(budget, values)
    total = _sum(budget, numbers)
    return total / len(numbers) if numbers else None  # type: ignore[operator]  # _sum gives a number or a duration


@function("min", examples=[("min(3, 1, 2), min([])", [1, None])])
def min_function(budget: Budget, *values: object) -> object:
    """The smallest of the arguments, or of the one list given."""
    return _first(budget, values, min)


@function("max", examples=[("max(3, 1, 2), max('b', 'a')", [3, "b"])])
def max_function(budget: Budget, *values: object) -> object:
    """The largest of the arguments, or of the one list given."""
    return _first(budget, values, max)


def _first(budget: Budget, values: Sequence, pick: Callable[..., object]) -> object:
    return extreme(budget, elements(budget, values[0]) if len(values) == 1 else values, None, pick)


def _given(budget: Budget, values: Sequence) -> Sequence:
    return elements(budget, values[0]) if len(values) == 1 and isinstance(values[0], LISTS) else values


def _column(budget: Budget, values: Sequence, by: str | None) -> Iterable[object]:
    if by is None:
        return values
    budget.elements(len(values))
    return [field(value, by) for value in values]


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


def _sorted(budget: Budget, values: Sequence, by: str | None) -> list[float]:
    budget.spend(len(values))
    return sorted(number(value, "each element") for value in _column(budget, values, by))


def _quantile(ordered: list[float], share: float) -> float | None:
    if not ordered:
        return None
    at = share * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low) if at > low else ordered[low]


def _variance(budget: Budget, values: Sequence, by: str | None) -> float | None:
    numbers = [float(one) for one in _sorted(budget, values, by)]
    if not numbers:
        return None
    mean = sum(numbers) / len(numbers)
    return sum((one - mean) ** 2 for one in numbers) / len(numbers)
