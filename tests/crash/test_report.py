"""The report of the crash matrix: what it adds up, and where it is written."""

from pathlib import Path

import orjson
import pytest

from tests.crash import report as subject
from tests.crash.fault import Fault
from tests.crash.report import BEGIN, END, Report, Row, write
from tests.crash.verdict import Verdict


@pytest.fixture
def report() -> Report:
    well = Verdict(kills=1, executions=1, resumed=1, recovery_seconds=[0.5])
    ill = Verdict(kills=1, executions=1, duplicated=2, findings=["doubled"])
    before, after = Fault("node.finished", 1, "before"), Fault("node.finished", 1, "after")
    return Report(7, [Row("SQLite", "chain", before, well), Row("SQLite", "chain", after, ill)])


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files of the report, elsewhere."""
    monkeypatch.setattr(subject, "FIGURES", tmp_path / "build" / "figures.json")
    monkeypatch.setattr(subject, "PAGE", tmp_path / "page.md")
    (tmp_path / "page.md").write_text(f"By hand.\n\n{BEGIN}\nOld.\n{END}\n\nBehind.\n")
    return tmp_path / "page.md"


def test_one_fault_anywhere_spoils_the_whole(report: Report) -> None:
    assert not report.total.clean
    assert report.total.findings == ["doubled"]


def test_the_page_keeps_what_was_written_by_hand(report: Report, page: Path) -> None:
    write(report)

    text = page.read_text()
    assert text.startswith(f"By hand.\n\n{BEGIN}")
    assert text.endswith(f"{END}\n\nBehind.\n")
    assert "Old." not in text
    assert "| `node.finished` after | SQLite | 1 | 1 | 0 | 0 | 2 | 0 |" in text
    assert "| chain | SQLite | 2 | 2 | 1 | 0 | 2 | 0 |" in text


def test_the_sums_stand_in_a_file_for_programs(report: Report, page: Path) -> None:
    write(report)

    figures = orjson.loads((page.parent / "build" / "figures.json").read_bytes())
    sums = {"kills": 2, "executions": 2, "resumed": 1, "lost": 0, "duplicated": 2, "stuck": 0, "seed": 7}
    assert figures.keys() == sums.keys() | {"commit", "modified"}
    assert sums.items() <= figures.items()
