"""`budflow execution` retries and forks, and starts once a key, in part or with pinned data."""

from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Cli, OwnerThread, told, workflow, write

SET = {"type": "data.set", "params": {"values": {"x": 1}}}
FAILING = workflow(
    {
        "start": {"type": "trigger.manual"},
        "set": {**SET, "pinned": [{"x": 2}]},
        "stop": {"type": "flow.stop_and_error", "params": {"message": "No stock."}},
    },
    ("start", "set"),
    ("set", "stop"),
)
MENDED = {**FAILING, "nodes": {**FAILING["nodes"], "stop": {"type": "flow.no_op"}}}


@pytest.fixture
def failing(cli: Cli, served: OwnerThread, tmp_path: Path) -> str:
    """The id of a workflow that always fails."""
    workflow_id: str = told(cli("workflow", "create", write(tmp_path / "w.json", FAILING), "--json"))["workflow"]["id"]
    return workflow_id


def start(cli: Cli, workflow_id: str, *args: object) -> dict[str, Any]:
    detail: dict[str, Any] = told(cli("execution", "start", workflow_id, "--wait", "--json", *args, exits=None))
    return detail


def test_a_start_with_a_key_is_made_once(cli: Cli, failing: str) -> None:
    first, second = [start(cli, failing, "--key", "order-7")["execution"]["id"] for _ in range(2)]

    assert second == first
    refused = cli("execution", "start", failing, "--key", "order-7", "--priority", 5, exits=None)
    assert "execution.key_reused" in refused.stderr


def test_a_part_is_run_with_pinned_data(cli: Cli, failing: str) -> None:
    detail = start(cli, failing, "--until", "set", "--pinned")

    assert detail["execution"]["status"] == "succeeded"
    assert detail["result"]["items"] == [{"json": {"x": 2}}]


def test_a_retry_tells_what_came_of_it(cli: Cli, failing: str) -> None:
    failed = start(cli, failing)["execution"]["id"]

    result = cli("execution", "retry", failed, "--wait", exits=1)
    again = told(cli("execution", "retry", failed, "--json"))

    assert "No stock." in result.stdout
    assert again["execution"]["origin"]["execution_id"] == failed


def test_a_fork_goes_on_by_a_mended_version(cli: Cli, failing: str, tmp_path: Path) -> None:
    failed = start(cli, failing)["execution"]["id"]
    cli("workflow", "update", failing, write(tmp_path / "mended.json", MENDED))

    result = cli("execution", "fork", failed, "--from", "stop", "--version", 2, "--wait")

    assert "succeeded" in result.stdout


def test_a_fork_takes_other_items(cli: Cli, failing: str) -> None:
    failed = start(cli, failing)["execution"]["id"]

    forked = told(cli("execution", "fork", failed, "--input", '[{"n": 1}, {"n": 2}]', "--wait", "--json", exits=1))

    assert forked["nodes"][0]["counts"] == {"main": 2}
