"""The operations of data.aggregate: each takes values some at a time and keeps no more of them than it must."""

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, Protocol

from budflow.model.failure import NodeError
from budflow.nodes.json_value import equality_key, order_key

OperationName = Literal["count", "sum", "min", "max", "average", "first", "last", "collect", "unique"]


class NumberTooLarge(NodeError):
    """The numbers are too large to be added up."""

    code = "aggregate.number_too_large"
    hint = "Look for a value in the items that cannot be meant."


class Tally(Protocol):
    """One operation under way. `kept` counts the values that it holds in memory."""

    @property
    def kept(self) -> int: ...

    def add(self, values: Sequence[Any]) -> None: ...

    def result(self) -> Any: ...


class Count:
    """How many."""

    kept = 0

    def __init__(self) -> None:
        self._count = 0

    def add(self, values: Sequence[Any]) -> None:
        """See Tally."""
        self._count += len(values)

    def result(self) -> int:
        """See Tally."""
        return self._count


class Sum:
    """Exact for whole numbers, correctly rounded otherwise: the fractions are kept as a sum without any rounding
    (Shewchuk, Adaptive Precision Floating-Point Arithmetic, 1997), which is a handful of numbers.
    """

    kept = 0

    def __init__(self) -> None:
        self.count = 0
        self._whole = 0
        self._parts: list[float] = []
        self._fractions = False

    def add(self, values: Sequence[Any]) -> None:
        """See Tally. Raises NumberTooLarge."""
        self.count += len(values)
        fractions = [value for value in values if not isinstance(value, int)]
        if not fractions:
            self._whole += sum(values)
            return
        self._fractions = True
        self._whole += sum(value for value in values if isinstance(value, int))
        self._parts = _without_rounding([*self._parts, *fractions])

    def result(self) -> float:
        """See Tally. Raises NumberTooLarge."""
        if not self._fractions:
            return self._whole
        try:
            high = float(self._whole)
            return math.fsum([*self._parts, high, float(self._whole - int(high))])
        except (OverflowError, ValueError) as error:
            raise NumberTooLarge from error


class Average(Sum):
    """The sum by the count; of nothing it is null."""

    def result(self) -> Any:
        """See Tally. Raises NumberTooLarge."""
        try:
            return super().result() / self.count if self.count else None
        except OverflowError as error:
            raise NumberTooLarge from error


class Extreme:
    """The smallest or the largest value, in the order of data.sort; the first of several that are equal."""

    def __init__(self, choose: Callable[..., Any]) -> None:
        self._choose = choose
        self._best: list[Any] = []

    @property
    def kept(self) -> int:
        """See Tally."""
        return 0

    def add(self, values: Sequence[Any]) -> None:
        """See Tally."""
        if values:
            self._best = [self._choose([*self._best, *values], key=order_key)]

    def result(self) -> Any:
        """See Tally."""
        return self._best[0] if self._best else None


class First:
    """The first value."""

    kept = 0

    def __init__(self) -> None:
        self._value: Any = None

    def add(self, values: Sequence[Any]) -> None:
        """See Tally."""
        if self._value is None and values:
            self._value = values[0]

    def result(self) -> Any:
        """See Tally."""
        return self._value


class Last(First):
    """The last value."""

    def add(self, values: Sequence[Any]) -> None:
        """See Tally."""
        if values:
            self._value = values[-1]


class Collect:
    """All values, in order."""

    def __init__(self) -> None:
        self._values: list[Any] = []

    @property
    def kept(self) -> int:
        """See Tally."""
        return len(self._values)

    def add(self, values: Sequence[Any]) -> None:
        """See Tally."""
        self._values.extend(values)

    def result(self) -> list[Any]:
        """See Tally."""
        return self._values


class Unique:
    """The different values, in the order in which they first came."""

    def __init__(self) -> None:
        self._first_seen: dict[Hashable, Any] = {}

    @property
    def kept(self) -> int:
        """See Tally."""
        return len(self._first_seen)

    def add(self, values: Sequence[Any]) -> None:
        """See Tally."""
        for value in values:
            self._first_seen.setdefault(equality_key(value), value)

    def result(self) -> list[Any]:
        """See Tally."""
        return list(self._first_seen.values())


TALLIES: Mapping[OperationName, Callable[[], Tally]] = MappingProxyType(
    {
        "count": Count,
        "sum": Sum,
        "average": Average,
        "min": lambda: Extreme(min),
        "max": lambda: Extreme(max),
        "first": First,
        "last": Last,
        "collect": Collect,
        "unique": Unique,
    }
)


def _without_rounding(values: list[float]) -> list[float]:
    """Few numbers with exactly the same sum: the rounded sum, what that leaves, and so on until nothing is left."""
    parts: list[float] = []
    try:
        while (part := math.fsum(values)) != 0:
            parts.append(part)
            if not math.isfinite(part):
                break
            values = [*values, -part]
    except (OverflowError, ValueError) as error:
        raise NumberTooLarge from error
    return parts
