"""What a case measures: a figure with its goal, and how figures are printed and written down."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure. `met` is None where there is no goal to meet."""

    what: str
    value: str
    goal: str = ""
    met: bool | None = None
    note: str = ""


def typical(values: Sequence[float]) -> float:
    """What stands for several rounds, and is held against the goal: their median."""
    return median(values)


def milliseconds(seconds: Sequence[float]) -> str:
    """Median and spread of durations."""
    low, middle, high = min(seconds) * 1000, median(seconds) * 1000, max(seconds) * 1000
    digits = 1 if middle >= 1 else 2
    return f"{middle:.{digits}f} ms ({low:.{digits}f} to {high:.{digits}f})"


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` (0 to 1) of the values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def table(figures: Sequence[Figure]) -> str:
    """A Markdown table."""
    marks = {True: "met", False: "missed", None: ""}
    rows = ["| what | measured | goal | |", "|---|---|---|---|"]
    for one in figures:
        note = f" ({one.note})" if one.note else ""
        rows.append(f"| {one.what} | {one.value}{note} | {one.goal} | {marks[one.met]} |")
    return "\n".join(rows)
