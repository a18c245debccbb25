"""The report of the chaos campaign: what spoils it, and where it is written."""

from pathlib import Path

import orjson
import pytest

from tests.chaos.campaign import Row
from tests.chaos.faults import FAULTS
from tests.chaos.partition import PARTITION
from tests.chaos.report import BEGIN, END, TITLES, Report, write
from tests.crash.verdict import SUMS, Verdict


def row(*seconds: float, **sums: int) -> Row:
    verdict = Verdict(kills=20, recovery_seconds=[*seconds])
    for name, number in sums.items():
        setattr(verdict, name, number)
    return Row("actor", verdict, 3.0)


@pytest.mark.parametrize(
    ("ill", "told"),
    [
        (row(0.5, lost=1), ["actor: lost is 1"]),
        (row(0.5, stuck=2, duplicated=3), ["actor: stuck is 2", "actor: duplicated is 3"]),
        (row(0.5, 3.25), ["actor: p99 is 3.25 s, and the goal 3 s"]),
        (row(), ["actor: nothing was hit"]),
    ],
)
def test_whatever_is_not_as_it_must_be_is_told(ill: Row, told: list[str]) -> None:
    report = Report(7, 10.0, [row(0.5), ill])

    assert report.faults == told
    assert all(f"Not as it must be: {fault}." in report.text() for fault in told)


def test_of_many_recoveries_one_in_a_hundred_may_be_late() -> None:
    well = row(*[0.5] * 199, 9.0)

    assert (well.p50_seconds, well.p99_seconds, well.faults) == (0.5, 0.5, [])


def test_every_fault_has_a_title() -> None:
    assert TITLES.keys() == {*FAULTS, PARTITION.name}


def test_a_page_and_a_file_for_programs_are_written(tmp_path: Path) -> None:
    page, figures = tmp_path / "page.md", tmp_path / "build" / "chaos.json"
    page.write_text(f"By hand.\n\n{BEGIN}\nOld.\n{END}\n\nBehind.\n")

    write(Report(7, 10.0, [row(0.5, executions=9, resumed=2)]), page, figures)

    text = page.read_text()
    assert text.startswith(f"By hand.\n\n{BEGIN}")
    assert text.endswith(f"{END}\n\nBehind.\n")
    assert "Old." not in text
    assert "| a runner actor's process | 20 | 9 | 2 | 0 | 0 | 0 | 0.50 s | 0.50 s | 3.00 s |" in text
    told = orjson.loads(figures.read_bytes())
    assert told.keys() == {*SUMS, "commit", "modified", "seed", "lease_seconds", "faults"}
    assert (told["seed"], told["kills"], told["faults"][0]["fault"]) == (7, 20, "actor")
    assert told["faults"][0]["recovery_p99_seconds"] == 0.5
