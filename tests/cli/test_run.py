"""`budflow run`: one execution to its end, the result on stdout."""

import subprocess
import sys
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


def test_one_item_is_printed_as_its_object(cli: Cli) -> None:
    assert told(cli("run", HELLO, "--input", '{"name": "Ada"}')) == {"greeting": "Hello, Ada!"}


def test_several_items_are_printed_as_a_list(cli: Cli) -> None:
    result = cli("run", HELLO, "--input", '[{"name": "Ada"}, {"name": "Alan"}]')

    assert told(result) == [{"greeting": "Hello, Ada!"}, {"greeting": "Hello, Alan!"}]


def test_without_input_there_is_one_empty_item(cli: Cli) -> None:
    assert told(cli("run", HELLO)) == {"greeting": "Hello, world!"}


@pytest.mark.parametrize("form", ["stdin", "file"])
def test_input_comes_from_a_file_or_from_stdin(cli: Cli, tmp_path: Path, form: str) -> None:
    text = '{"name": "Grace"}'
    file = write(tmp_path / "input.json", {"name": "Grace"})

    result = cli("run", HELLO, "--input", "-", stdin=text) if form == "stdin" else cli("run", HELLO, "-i", f"@{file}")

    assert told(result) == {"greeting": "Hello, Grace!"}


def test_the_document_comes_from_stdin(cli: Cli) -> None:
    assert told(cli("run", "-", stdin=HELLO.read_text())) == {"greeting": "Hello, world!"}


def test_json_tells_the_whole_execution(cli: Cli) -> None:
    detail = told(cli("run", HELLO, "--json"))

    assert detail["execution"]["status"] == "succeeded"
    assert [node["key"] for node in detail["nodes"]] == ["start", "greet"]
    assert detail["result"]["items"] == [{"json": {"greeting": "Hello, world!"}}]


@pytest.mark.parametrize("record", [(), ("--record",)])
def test_a_long_result_is_printed_whole(cli: Cli, served: OwnerThread, tmp_path: Path, record: tuple[str, ...]) -> None:
    document = workflow(
        {"start": {"type": "trigger.manual"}, "split": {"type": "data.split_out", "params": {"field": "numbers"}}},
        ("start", "split"),
    )
    given = write(tmp_path / "input.json", {"numbers": list(range(2500))})

    result = told(cli("run", write(tmp_path / "flow.json", document), "--input", f"@{given}", *record))

    assert len(result) == 2500


def test_verbose_tells_the_events_on_stderr_and_only_the_result_on_stdout(cli: Cli) -> None:
    result = cli("run", HELLO, "--verbose")

    assert told(result) == {"greeting": "Hello, world!"}
    assert "execution.admitted" in result.stderr
    assert "execution.finished" in result.stderr


def test_a_failed_execution_exits_with_1_and_says_why(cli: Cli, tmp_path: Path) -> None:
    result = cli("run", write(tmp_path / "flow.json", FAILING), exits=1)

    assert result.stdout == ""
    assert "No stock." in result.stderr
    assert "Node `stop`" in result.stderr


def test_a_failed_execution_with_json_is_a_document_too(cli: Cli, tmp_path: Path) -> None:
    detail = told(cli("run", write(tmp_path / "flow.json", FAILING), "--json", exits=1))

    assert detail["execution"]["failure"]["message"] == "No stock."


def test_a_wrong_document_is_refused_with_every_problem(cli: Cli, tmp_path: Path) -> None:
    document = workflow({"start": {"type": "trigger.manul"}, "x": {"type": "data.set", "prams": {}}})

    result = cli("run", write(tmp_path / "flow.json", document), "--json", exits=1)

    problem = orjson.loads(result.stderr)
    assert problem["code"] == "workflow.invalid"
    assert [one["path"] for one in problem["problems"]] == ["/nodes/x/prams"]


@pytest.mark.parametrize("given", ["{", "3", "[1]", "[]", '{"a": 1, "a": 2}'])
def test_wrong_input_is_wrong_usage(cli: Cli, given: str) -> None:
    result = cli("run", HELLO, "--input", given, exits=2)

    assert "--input" in result.stderr


def test_a_missing_file_is_wrong_usage(cli: Cli) -> None:
    assert "cannot be read" in cli("run", "nowhere.json", exits=2).stderr


def test_stdin_cannot_be_both_document_and_input(cli: Cli) -> None:
    assert "stdin" in cli("run", "-", "--input", "-", stdin="{}", exits=2).stderr


def test_an_unknown_trigger_is_named(cli: Cli) -> None:
    assert "trigger `nope`" in cli("run", HELLO, "--trigger", "nope", exits=1).stderr


def test_calling_another_workflow_needs_a_server_and_the_error_says_how(cli: Cli, tmp_path: Path) -> None:
    document = workflow(
        {
            "start": {"type": "trigger.manual"},
            "call": {"type": "flow.sub_workflow", "params": {"workflow": "wf_1"}},
        },
        ("start", "call"),
    )

    result = cli("run", write(tmp_path / "flow.json", document), exits=1)

    assert "run.sub_workflow" in result.stderr
    assert "--record" in result.stderr


def test_record_without_a_server_says_how_to_start_one(cli: Cli) -> None:
    result = cli("run", HELLO, "--record", exits=3)

    assert "server.not_running" in result.stderr
    assert "budflow serve" in result.stderr


@pytest.mark.parametrize("verbose", [(), ("--verbose",)])
def test_recorded_executions_are_kept_by_the_server(cli: Cli, served: OwnerThread, verbose: tuple[str, ...]) -> None:
    result = cli("run", HELLO, "--record", "--json", "--input", '{"name": "Ada"}', *verbose)

    detail = told(result)
    assert detail["result"]["items"] == [{"json": {"greeting": "Hello, Ada!"}}]
    kept: dict[str, Any] = told(cli("execution", "show", detail["execution"]["id"], "--json"))
    assert kept["execution"]["mode"] == "cli"


@pytest.mark.process
def test_run_leaves_nothing_behind(data_dir: Path) -> None:
    command = [str(Path(sys.executable).with_name("budflow")), "run", str(HELLO)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)

    assert orjson.loads(done.stdout) == {"greeting": "Hello, world!"}
    assert done.stderr == ""
    assert not data_dir.exists()


def test_credentials_need_a_server(cli: Cli, tmp_path: Path) -> None:
    ask = {"type": "http.request", "params": {"url": "https://crm.example/"}, "credentials": {"auth": "crm"}}
    document = {"format": 1, "name": "Ask", "nodes": {"start": {"type": "trigger.manual"}, "ask": ask}}

    assert "run.credentials" in cli("run", write(tmp_path / "flow.json", document), exits=1).stderr


def test_a_sub_workflow_in_a_body_needs_a_server_too(cli: Cli, tmp_path: Path) -> None:
    call = {"type": "flow.sub_workflow", "params": {"workflow_id": "wf_1"}}
    edges = [{"from": "$in", "to": "call"}, {"from": "call", "to": "$out"}]
    each = {"type": "flow.for_each", "bodies": {"body": {"nodes": {"call": call}, "edges": edges}}}
    document = workflow({"start": {"type": "trigger.manual"}, "each": each}, ("start", "each"))

    assert "run.sub_workflow" in cli("run", write(tmp_path / "flow.json", document), exits=1).stderr


@pytest.mark.parametrize("verbose", [(), ("--verbose",)])
def test_a_run_that_nobody_can_answer_ends_and_says_so(cli: Cli, tmp_path: Path, verbose: tuple[str, ...]) -> None:
    result = cli("run", write(tmp_path / "flow.json", approval()), *verbose, exits=1)

    assert "The execution waits: approval." in result.stderr
    assert result.stdout == ""
