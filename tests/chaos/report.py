"""What the chaos campaign came to: a table for docs/reliability.md and a row a fault for build/chaos.json."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.campaign import Row
from tests.crash.report import PAGE, ROOT, made_by, put_between, put_figures, sums_of
from tests.crash.verdict import SUMS, Verdict

FIGURES = ROOT / "build" / "chaos.json"
BEGIN, END = "<!-- chaos: begin -->", "<!-- chaos: end -->"
#: What a row is called for people.
TITLES = {
    "actor": "a runner actor's process",
    "node": "a raylet with its workers",
    "raylet": "a raylet alone",
    "main": "a main",
    "leader": "the leader",
    "redis": "Redis",
    "head": "the Ray head with its GCS",
    "frozen": "a runner actor, frozen",
    "partition": "a worker, cut off",
}


@dataclass(slots=True)
class Report:
    """The rows of a campaign, with leases of `lease_seconds`."""

    seed: int
    lease_seconds: float
    rows: list[Row] = field(default_factory=list)

    @property
    def faults(self) -> list[str]:
        """What is not as it must be, of all rows."""
        return [fault for row in self.rows for fault in row.faults]

    def text(self) -> str:
        """The table, as Markdown."""
        lines = [f"| fault | {' | '.join(SUMS)} | p50 | p99 | goal |", f"|---|{'---|' * (len(SUMS) + 3)}"]
        for row in self.rows:
            sums = " | ".join(str(number) for number in sums_of(row.verdict).values())
            times = " | ".join(map(_seconds, (row.p50_seconds, row.p99_seconds, row.goal_seconds)))
            lines.append(f"| {TITLES[row.fault]} | {sums} | {times} |")
        lines.append(f"| all | {' | '.join(str(number) for number in sums_of(self._total()).values())} | | | |")
        head = f"{made_by('chaos', self.seed)} Leases were of {self.lease_seconds:g} s."
        return "\n\n".join([head, "\n".join(lines), *(f"Not as it must be: {fault}." for fault in self.faults)])

    def figures(self) -> dict[str, Any]:
        """The sums over everything, and a row a fault."""
        rows = [
            {
                "fault": row.fault,
                **sums_of(row.verdict),
                "recovery_p50_seconds": row.p50_seconds,
                "recovery_p99_seconds": row.p99_seconds,
                "goal_seconds": row.goal_seconds,
            }
            for row in self.rows
        ]
        return {**sums_of(self._total()), "lease_seconds": self.lease_seconds, "faults": rows}

    def _total(self) -> Verdict:
        total = Verdict()
        for row in self.rows:
            total.add(row.verdict)
        return total


def write(report: Report, page: Path = PAGE, figures: Path = FIGURES) -> None:
    """Put the table between the marks of the page, and the figures into their file."""
    put_between(page, BEGIN, END, report.text())
    put_figures(figures, report.seed, report.figures())


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.2f} s"
