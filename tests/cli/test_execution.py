"""`budflow execution`: the executions of a server."""

import re
import socket
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.api.waits import approval
from tests.cli.conftest import EXAMPLES, Cli, OwnerThread, told, workflow, write

HELLO = EXAMPLES / "hello.json"
FAILING = workflow(
    {"start": {"type": "trigger.manual"}, "stop": {"type": "flow.stop_and_error", "params": {"message": "No stock."}}},
    ("start", "stop"),
)


@pytest.fixture
def hello(cli: Cli, served: OwnerThread) -> str:
    """The id of a stored workflow."""
    workflow_id: str = told(cli("workflow", "create", HELLO, "--json"))["workflow"]["id"]
    return workflow_id


@pytest.fixture
def failing(cli: Cli, served: OwnerThread, tmp_path: Path) -> str:
    """The id of a workflow that always fails."""
    saved = told(cli("workflow", "create", write(tmp_path / "failing.json", FAILING), "--json"))
    workflow_id: str = saved["workflow"]["id"]
    return workflow_id


def start(cli: Cli, workflow_id: str, *args: str) -> str:
    execution_id: str = told(cli("execution", "start", workflow_id, "--json", *args, exits=None))["execution"]["id"]
    return execution_id


def test_an_execution_is_started_waited_for_and_shown_as_a_tree(cli: Cli, hello: str) -> None:
    result = cli("execution", "start", hello, "--input", '{"name": "Ada"}', "--wait")

    assert "succeeded" in result.stdout
    assert "greet data.set" in result.stdout
    assert "inprocess pid" in result.stdout


def test_without_wait_the_id_is_told_at_once(cli: Cli, hello: str) -> None:
    assert cli("execution", "start", hello).stdout.startswith("exe_")


def test_waiting_for_a_failure_exits_with_1(cli: Cli, failing: str) -> None:
    result = cli("execution", "start", failing, "--wait", exits=1)

    assert "No stock." in result.stdout


def test_items_are_shown_on_demand(cli: Cli, hello: str) -> None:
    execution_id = start(cli, hello, "--wait")

    plain = cli("execution", "show", execution_id).stdout
    whole = cli("execution", "show", execution_id, "--items", "--node", "greet").stdout

    assert "Hello, world!" not in plain
    assert "greet.main: 1 items" in whole
    assert "Hello, world!" in whole


def test_executions_are_listed_by_workflow_and_status(cli: Cli, hello: str, failing: str) -> None:
    good, bad = start(cli, hello, "--wait"), start(cli, failing, "--wait")

    listed = cli("execution", "list", "--status", "failed").stdout
    only = told(cli("execution", "list", "--workflow", hello, "--limit", 1, "--json"))

    assert bad in listed
    assert good not in listed
    assert [one["id"] for one in only["executions"]] == [good]
    assert "--cursor" in cli("execution", "list", "--limit", 1).stdout


def test_a_running_execution_is_cancelled(cli: Cli, served: OwnerThread, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        nodes = {"start": {"type": "trigger.manual"}, "ask": {"type": "http.request", "params": {"url": url}}}
        file = write(tmp_path / "flow.json", workflow(nodes, ("start", "ask")))
        execution_id = start(cli, told(cli("workflow", "create", file, "--json"))["workflow"]["id"])
        silent.settimeout(10)
        connection, _ = silent.accept()
        with connection:
            assert "is being cancelled" in cli("execution", "cancel", execution_id).stdout

            assert "cancelled" in cli("execution", "watch", execution_id, exits=1).stdout


def test_an_unknown_execution_cannot_be_cancelled(cli: Cli, served: OwnerThread) -> None:
    assert "execution.not_found" in cli("execution", "cancel", "exe_none", exits=1).stderr


def test_an_ended_execution_cannot_be_cancelled(cli: Cli, hello: str) -> None:
    result = cli("execution", "cancel", start(cli, hello, "--wait"), exits=1)

    assert "execution.ended" in result.stderr


def test_watching_prints_the_events_and_then_the_tree(cli: Cli, hello: str) -> None:
    result = cli("execution", "watch", start(cli, hello))

    assert result.stdout.index("execution.admitted") < result.stdout.index("execution.finished")
    assert "greet data.set" in result.stdout


def test_watching_a_failure_exits_with_1(cli: Cli, failing: str) -> None:
    detail: dict[str, Any] = told(cli("execution", "watch", start(cli, failing), "--json", exits=1))

    assert detail["execution"]["status"] == "failed"


def test_events_come_as_lines_of_json(cli: Cli, hello: str) -> None:
    execution_id = start(cli, hello, "--wait")

    lines = cli("execution", "events", execution_id, "--json").stdout.splitlines()

    events = [orjson.loads(line) for line in lines]
    assert [event["seq"] for event in events] == list(range(len(events)))
    assert events[-1]["type"] == "execution.finished"
    assert "execution.finished" in cli("execution", "events", execution_id).stdout


def test_events_of_an_unknown_execution_are_an_error(cli: Cli, served: OwnerThread) -> None:
    assert "execution.not_found" in cli("execution", "events", "exe_none", exits=1).stderr


def test_a_waiting_execution_is_paused_and_continued(cli: Cli, served: OwnerThread, tmp_path: Path) -> None:
    file = write(tmp_path / "flow.json", approval())
    execution_id = start(cli, told(cli("workflow", "create", file, "--json"))["workflow"]["id"], "--wait")

    assert "is being paused" in cli("execution", "pause", execution_id).stdout
    cli("wait", "answer", execution_id, "ask", "--approve")
    while told(cli("execution", "show", execution_id, "--json"))["execution"]["waiting"] != "paused":
        pass
    assert "goes on" in cli("execution", "continue", execution_id).stdout

    assert told(cli("execution", "watch", execution_id, "--json"))["execution"]["status"] == "succeeded"
    assert "execution.ended" in cli("execution", "pause", execution_id, exits=1).stderr


def test_what_is_not_kept_is_removed(cli: Cli, served: OwnerThread, tmp_path: Path) -> None:
    document = workflow({"start": {"type": "trigger.manual"}}) | {"settings": {"retention": {"succeeded_seconds": 0}}}
    file = write(tmp_path / "flow.json", document)
    workflow_id = told(cli("workflow", "create", file, "--json"))["workflow"]["id"]
    execution_id = start(cli, workflow_id, "--wait")

    assert told(cli("execution", "prune", "--workflow", "wf_other", "--json")) == {"executions": 0, "blobs": 0}
    # The server looks every five seconds by itself, and may have been there first.
    assert re.fullmatch(r"Removed: executions [01], blobs 0\n", cli("execution", "prune").stdout)

    assert "execution.not_found" in cli("execution", "show", execution_id, exits=1).stderr


NOTING = workflow(
    {
        "start": {"type": "trigger.manual"},
        "note": {"type": "flow.log", "params": {"message": "\x1b[31mNo {{ $json.n }}", "level": "warning"}},
        "last": {"type": "flow.log", "params": {"message": "Done", "fields": {"of": ["{{ $json.n }}"]}}},
    },
    ("start", "note"),
    ("note", "last"),
)


@pytest.fixture
def noted(cli: Cli, served: OwnerThread, tmp_path: Path) -> str:
    """The id of an execution that logged something, and has ended."""
    saved = told(cli("workflow", "create", write(tmp_path / "noting.json", NOTING), "--json"))
    return start(cli, saved["workflow"]["id"], "--input", '{"n": 7}', "--wait")


@pytest.mark.parametrize("follow", [(), ("--follow",)])
def test_a_log_is_printed_line_by_line(cli: Cli, noted: str, follow: tuple[str, ...]) -> None:
    text = cli("execution", "logs", noted, *follow).stdout

    begun, note, last, ended = text.splitlines()
    assert "Begun by run_" in begun
    assert note.endswith("warning  note #0   [31mNo 7")
    assert last.endswith("info     last #0  Done  of=[7]")
    assert ended.endswith("info     -  Succeeded")


def test_a_log_is_filtered_and_written_as_lines_of_json(cli: Cli, noted: str) -> None:
    for args in (("--level", "warning"), ("--node", "note"), ("--follow", "--node", "note")):
        [line] = cli("execution", "logs", noted, "--json", *args).stdout.splitlines()
        assert orjson.loads(line)["node"] == "note"


def test_the_log_of_a_node_that_does_not_exist_is_refused(cli: Cli, noted: str) -> None:
    for follow in ((), ("--follow",)):
        assert "execution.node_not_found" in cli("execution", "logs", noted, "--node", "no", *follow, exits=1).stderr
