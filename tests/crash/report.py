"""What a run of the crash matrix came to: tables for docs/reliability.md and sums for build/crash_matrix.json."""

import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import orjson

from tests.crash.fault import Fault
from tests.crash.shape import SHAPES
from tests.crash.verdict import SUMS, Verdict

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reliability.md"
FIGURES = ROOT / "build" / "crash_matrix.json"
BEGIN, END = "<!-- crash matrix: begin -->", "<!-- crash matrix: end -->"


@dataclass(frozen=True, slots=True)
class Row:
    """One trial of a shape, or one run under load."""

    database: str
    shape: str
    fault: Fault | None
    verdict: Verdict


@dataclass(slots=True)
class Report:
    """All trials of a run."""

    seed: int
    rows: list[Row] = field(default_factory=list)

    @property
    def total(self) -> Verdict:
        """The sums over everything."""
        return _sum(self.rows)

    def text(self) -> str:
        """The tables, as Markdown."""
        load = [row for row in self.rows if row.shape not in SHAPES]
        trials = [row for row in self.rows if row.shape in SHAPES]
        faults = [row for row in trials if row.fault is not None]
        parts = [made_by("crash-matrix", self.seed), "By shape:", _table("shape", trials, lambda row: row.shape)]
        parts += ["By transition:", _table("transition", faults, _transition)]
        parts += ["At random moments:", _table("load", load, lambda row: row.shape)] if load else []
        return "\n\n".join([*parts, _recovery("Kills at a transition", trials), _recovery("Kills under load", load)])


def write(report: Report) -> None:
    """Put the tables between the marks of the page, and the sums into the file of figures."""
    put_between(PAGE, BEGIN, END, report.text())
    put_figures(FIGURES, report.seed, sums_of(report.total))


def put_between(page: Path, begin: str, end: str, text: str) -> None:
    """Replace what stands between two marks of a page."""
    before, _, rest = page.read_text().partition(begin)
    _, _, behind = rest.partition(end)
    page.write_text(f"{before}{begin}\n\n{text.strip()}\n\n{end}{behind}")


def put_figures(path: Path, seed: int, figures: Mapping[str, Any]) -> None:
    """Write a file for programs, with what it was made from."""
    made_from = {"commit": _git("rev-parse", "HEAD"), "modified": _modified(), "seed": seed}
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(orjson.dumps(made_from | dict(figures), option=orjson.OPT_INDENT_2) + b"\n")


def sums_of(verdict: Verdict) -> dict[str, int]:
    """Its sums by name."""
    return {name: getattr(verdict, name) for name in SUMS}


def made_by(target: str, seed: int) -> str:
    """The sentence that says where figures come from."""
    commit = _git("rev-parse", "--short", "HEAD") + (" with changes" if _modified() else "")
    return f"Made by `make {target}` on {datetime.now(UTC):%Y-%m-%d}, commit {commit}, seed {seed}."


def _table(title: str, rows: Iterable[Row], name_of: Callable[[Row], str]) -> str:
    """One line for each name and database, and the sums."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((name_of(row), row.database), []).append(row)
    lines = [f"| {title} | database | {' | '.join(SUMS)} |", f"|---|---|{'---|' * len(SUMS)}"]
    lines += [_line(*names, _sum(group)) for names, group in sorted(groups.items())]
    return "\n".join([*lines, _line("all", "", _sum([row for group in groups.values() for row in group]))])


def _line(name: str, database: str, verdict: Verdict) -> str:
    return f"| {name} | {database} | {' | '.join(str(getattr(verdict, one)) for one in SUMS)} |"


def _transition(row: Row) -> str:
    return "" if row.fault is None else f"`{row.fault.point}` {row.fault.moment}"


def _recovery(what: str, rows: Iterable[Row]) -> str:
    seconds = sorted(second for row in rows for second in row.verdict.recovery_seconds)
    if not seconds:
        return f"{what}: nothing was resumed."
    late = seconds[int(0.95 * len(seconds))]
    return (
        f"{what}, from the death of the server to the next event of the execution: median {median(seconds):.2f} s, "
        f"95 % within {late:.2f} s, longest {seconds[-1]:.2f} s, of {len(seconds)}."
    )


def _sum(rows: Iterable[Row]) -> Verdict:
    total = Verdict()
    for row in rows:
        total.add(row.verdict)
    return total


def _modified() -> bool:
    return bool(_git("status", "--porcelain", "--untracked-files=no", "--", "budflow", "tests"))


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()
