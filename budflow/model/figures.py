"""Figures that only grow: counted where something happens, read by whoever asks how a server is doing.

They are plain numbers without locks and without a library, so that counting costs a microsecond at most and nothing is
imported for it. Each is counted by one thread; another that reads meanwhile may miss what just happens.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence

#: Upper bounds in seconds, for what takes from a quarter of a millisecond to ten seconds.
SECONDS: Sequence[float] = (
    *(0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
#: For what may take minutes, such as a node.
LONG_SECONDS: Sequence[float] = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0, 1800.0)
#: For how many are done together.
NUMBERS: Sequence[float] = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Counts:
    """How often, by labels: a tuple of texts of which there are few."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: dict[tuple[str, ...], int] = {}

    def add(self, *labels: str, by: int = 1) -> None:
        """Count one more."""
        self._counts[labels] = self._counts.get(labels, 0) + by

    def read(self) -> Mapping[tuple[str, ...], int]:
        """A copy."""
        return self._counts.copy()

    def total(self, *first: str) -> int:
        """The sum of all whose labels begin so."""
        return sum(count for labels, count in self.read().items() if labels[: len(first)] == first)


class Spread:
    """How large: a histogram. `bounds` are the upper ends of its buckets, which count what is no larger."""

    __slots__ = ("_counts", "bounds", "sum")

    def __init__(self, bounds: Sequence[float] = SECONDS) -> None:
        self.bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    @property
    def count(self) -> int:
        """How many values there were."""
        return sum(self._counts)

    def cumulative(self) -> list[int]:
        """For each bound how many values were no larger, and last how many there were."""
        totals: list[int] = []
        total = 0
        for count in self._counts.copy():
            total += count
            totals.append(total)
        return totals


class Spreads:
    """A histogram for each label."""

    __slots__ = ("_bounds", "_spreads")

    def __init__(self, bounds: Sequence[float] = SECONDS) -> None:
        self._bounds = bounds
        self._spreads: dict[tuple[str, ...], Spread] = {}

    def add(self, value: float, *labels: str) -> None:
        """Count one value."""
        spread = self._spreads.get(labels)
        if spread is None:
            spread = self._spreads[labels] = Spread(self._bounds)
        spread.add(value)

    def read(self) -> Mapping[tuple[str, ...], Spread]:
        """Those that there are; they go on counting."""
        return self._spreads.copy()
