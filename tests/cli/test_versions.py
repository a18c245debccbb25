"""`budflow workflow diff`, `plan` and `rollback`."""

from pathlib import Path

import pytest

from tests.cli.conftest import Cli, OwnerThread, told, workflow, write

FIRST = workflow({"start": {"type": "trigger.manual"}, "a": {"type": "flow.no_op"}}, ("start", "a"))
SECOND = {
    **FIRST,
    "nodes": {**FIRST["nodes"], "a": {"type": "flow.no_op", "notes": "x" * 100}, "b": {"type": "flow.no_op"}},
    "edges": [*FIRST["edges"], {"from": "a", "to": "b"}],
    "settings": {"priority": 7},
}


@pytest.fixture
def changed(cli: Cli, served: OwnerThread, tmp_path: Path) -> str:
    """The id of a workflow with two versions."""
    workflow_id: str = told(cli("workflow", "create", write(tmp_path / "1.json", FIRST), "--json"))["workflow"]["id"]
    cli("workflow", "update", workflow_id, write(tmp_path / "2.json", SECOND))
    return workflow_id


def test_the_difference_is_a_line_for_each_change(cli: Cli, changed: str) -> None:
    shown = cli("workflow", "diff", changed).stdout

    assert "version 1 to 2" in shown
    assert "/settings/priority" in shown
    assert "/nodes/b (flow.no_op)" in shown
    assert "a → b" in shown
    assert "xxx…" in shown
    assert "no difference" in cli("workflow", "diff", changed, 2, 2).stdout
    assert not told(cli("workflow", "diff", changed, 1, 2, "--json"))["equal"]


def test_a_plan_is_a_line_for_each_segment(cli: Cli, changed: str) -> None:
    shown = cli("workflow", "plan", changed).stdout

    assert "version 2, on inprocess" in shown
    assert "start > a > b" in shown
    assert "the runner" in shown
    [segment] = told(cli("workflow", "plan", changed, "--version", 1, "--json"))["segments"]
    assert segment["nodes"] == ["start", "a"]


def test_an_old_version_becomes_the_newest(cli: Cli, changed: str) -> None:
    said = cli("workflow", "rollback", changed, 1, "--publish").stdout

    assert "version 3 is what version 1 was, published." in said
    assert told(cli("workflow", "show", changed, "--json"))["workflow"]["published_version"] == 3
