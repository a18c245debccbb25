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


def milliseconds(seconds: Sequence[float]) -> str:
    """Median and spread of durations."""
    low, middle, high = min(seconds) * 1000, median(seconds) * 1000, max(seconds) * 1000
    return f"{middle:.1f} ms ({low:.1f} to {high:.1f})"


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
