"""`budflow validate`: every problem of a document, without a server."""

from pathlib import Path

import pytest

from tests.cli.conftest import EXAMPLES, Cli, told, workflow, write


def test_a_good_document_has_no_problems(cli: Cli) -> None:
    assert "no problems" in cli("validate", EXAMPLES / "hello.json").stdout


def test_problems_are_shown_with_their_hints_and_exit_with_1(cli: Cli, tmp_path: Path) -> None:
    document = workflow({"start": {"type": "trigger.manul"}}, ("start", "nowhere"))
    file = write(tmp_path / "flow.json", document)

    shown = cli("validate", file, exits=1).stdout
    view = told(cli("validate", file, "--json", exits=1))

    assert "trigger.manual" in shown
    assert "It cannot be saved" in shown
    assert view["can_save"] is False
    assert {problem["path"] for problem in view["problems"]} == {"/nodes/start/type", "/edges/0/to"}


def test_a_draft_may_be_saved_but_not_published(cli: Cli, tmp_path: Path) -> None:
    shown = cli("validate", write(tmp_path / "flow.json", workflow({"a": {"type": "data.set"}})), exits=1).stdout

    assert "It can be saved" in shown


def test_a_credential_that_only_a_server_can_know_is_no_problem_here(cli: Cli, tmp_path: Path) -> None:
    ask = {"type": "http.request", "params": {"url": "https://crm.example/"}, "credentials": {"auth": "crm"}}
    file = write(tmp_path / "flow.json", workflow({"start": {"type": "trigger.manual"}, "ask": ask}, ("start", "ask")))
    misspelt = write(tmp_path / "misspelt.json", workflow({"ask": {**ask, "credentials": {"atuh": "crm"}}}))

    assert told(cli("validate", file, "--json")) == {
        "can_save": True,
        "can_run": True,
        "can_publish": True,
        "problems": [],
        "plan": [],
    }
    assert "credential.slot_unknown" in cli("validate", misspelt, exits=1).stdout


@pytest.mark.parametrize("text", ["[1]", "3", '"text"', "null"])
def test_what_is_no_object_is_a_problem_of_the_document(cli: Cli, text: str) -> None:
    assert told(cli("validate", "-", "--json", stdin=text, exits=1))["problems"][0]["code"] == "document.malformed"


def test_what_is_no_json_is_refused(cli: Cli) -> None:
    assert "This is not JSON" in cli("validate", "-", stdin="{", exits=1).stderr


def test_what_is_no_text_is_wrong_usage(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "flow.json"
    file.write_bytes(b"\xff\xfe")

    assert "UTF-8" in cli("validate", file, exits=2).stderr
