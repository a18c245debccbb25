"""What `budflow worker --ray` shows, and when."""

from collections.abc import Mapping
from io import StringIO

import orjson
import pytest

from budflow.cli.draw_runners import RunnersShown
from ray_jobs.placement import NoNodeFits
from ray_jobs.pool_status import PoolStatus

RUNNING = {
    "actor": "budflow-runner-1-0",
    "state": "running",
    "runner": "run_1",
    "running": 3,
    "running_max": 100,
    "host": "one",
    "pid": 12,
    "since": "2026-01-02T03:04:05+00:00",
}
STARTING = {"actor": "budflow-runner-1-1", "state": "starting", "host": "one"}


def status(*runners: Mapping[str, object], problems: tuple[NoNodeFits, ...] = ()) -> PoolStatus:
    return PoolStatus("head:6379", runners, problems)


def test_for_programs_each_change_is_a_line_and_a_load_is_none() -> None:
    lines = StringIO()
    shown = RunnersShown(lines)

    shown(status(RUNNING))
    shown(status({**RUNNING, "running": 4}))
    shown(status({**RUNNING, "pid": 13}))
    shown(status({**RUNNING, "pid": 13}, problems=(NoNodeFits(),)))

    told = [orjson.loads(line) for line in lines.getvalue().splitlines()]
    assert [one["runners"][0]["pid"] for one in told] == [12, 13, 13]
    assert [len(one["problems"]) for one in told] == [0, 0, 1]
    assert told[0]["ray"] == "head:6379"


def test_for_people_there_is_a_table_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    RunnersShown(None)(status(RUNNING, STARTING, problems=(NoNodeFits("No node has it."),)))

    shown = capsys.readouterr()
    assert shown.out == ""
    assert "2 runner actors on Ray at head:6379" in shown.err
    assert "3 of 100" in shown.err
    assert "starting" in shown.err
    assert "No node has it. [ray.no_node_fits]" in shown.err
    assert "Hint:" in shown.err
