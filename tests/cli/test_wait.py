"""`budflow wait`: what executions of a server wait for, and answers to it."""

from pathlib import Path
from typing import Any

import pytest

from tests.api.waits import approval, waiting_for
from tests.cli.conftest import Cli, OwnerThread, told, write

FORM = waiting_for("form", text="Where to?", fields=[{"name": "street"}])


def started(cli: Cli, path: Path, document: dict[str, Any]) -> str:
    """The id of an execution that waits."""
    workflow_id = told(cli("workflow", "create", write(path / "flow.json", document), "--json"))["workflow"]["id"]
    detail = told(cli("execution", "start", workflow_id, "--wait", "--json", exits=1))
    assert detail["execution"]["status"] == "waiting"
    execution_id: str = detail["execution"]["id"]
    return execution_id


@pytest.mark.parametrize(("flag", "port"), [("--approve", "approved"), ("--reject", "rejected")])
def test_an_approval_is_listed_and_decided(cli: Cli, served: OwnerThread, tmp_path: Path, flag: str, port: str) -> None:
    execution_id = started(cli, tmp_path, approval())

    listed = cli("wait", "list", "--reason", "approval", "--execution", execution_id).stdout
    assert "900" in listed
    assert f"{served.url}/resume/" in listed
    assert "answered" in cli("wait", "answer", execution_id, "ask", flag, "--comment", "So be it.").stdout

    detail = told(cli("execution", "watch", execution_id, "--json"))
    assert {node["key"]: node["counts"] for node in detail["nodes"]}["ask"][port] == 1
    assert "wait.closed" in cli("wait", "answer", execution_id, "ask", flag, exits=1).stderr


def test_a_form_is_filled_in_with_json(cli: Cli, served: OwnerThread, tmp_path: Path) -> None:
    execution_id = started(cli, tmp_path, FORM)

    cli("wait", "answer", execution_id, "ask", "--input", '{"street": "Main Street 1"}')

    detail = told(cli("execution", "watch", execution_id, "--json"))
    assert detail["result"]["items"][0]["json"]["answer"] == {"street": "Main Street 1"}


def test_lists_go_on_where_they_ended(cli: Cli, served: OwnerThread, tmp_path: Path) -> None:
    for _ in range(2):
        started(cli, tmp_path, FORM)

    first = told(cli("wait", "list", "--reason", "form", "--limit", 1, "--json"))
    second = told(cli("wait", "list", "--reason", "form", "--cursor", first["next_cursor"], "--json"))

    assert len(first["waits"]) == 1
    assert first["waits"][0] not in second["waits"]
    assert "--cursor" in cli("wait", "list", "--limit", 1).stdout


def test_two_answers_at_once_are_a_wrong_call(cli: Cli) -> None:
    result = cli("wait", "answer", "exe_1", "ask", "--approve", "--input", "1", exits=2)

    assert "cannot both" in result.stderr


def test_the_execution_shows_what_it_waits_for(cli: Cli, served: OwnerThread, tmp_path: Path) -> None:
    execution_id = started(cli, tmp_path, approval())

    assert "approval" in cli("execution", "show", execution_id).stdout
    assert "waiting: approval" in cli("execution", "list", "--limit", 1).stdout
