"""`budflow workflow`: the workflows of a server."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.cli.conftest import EXAMPLES, Cli, OwnerThread, told, workflow, write

HELLO = EXAMPLES / "hello.json"
pytestmark = pytest.mark.usefixtures("served")


@pytest.fixture
def hello(cli: Cli, served: OwnerThread) -> str:
    """The id of a stored workflow."""
    workflow_id: str = told(cli("workflow", "create", HELLO, "--json"))["workflow"]["id"]
    return workflow_id


def hook(path: str) -> dict[str, Any]:
    return workflow({"hook": {"type": "trigger.webhook", "params": {"path": path}}}, name=f"Hook {path}")


def test_what_is_created_is_listed_and_shown(cli: Cli, hello: str) -> None:
    assert hello in cli("workflow", "list").stdout
    assert hello in cli("workflow", "list", "--name", "HELL").stdout
    assert hello not in cli("workflow", "list", "--name", "nothing like it").stdout

    shown = cli("workflow", "show", hello).stdout

    assert "Hello" in shown
    assert "data.set" in shown


def test_a_list_continues_at_its_cursor(cli: Cli, hello: str) -> None:
    cli("workflow", "create", HELLO)

    first = told(cli("workflow", "list", "--limit", 1, "--json"))
    second = told(cli("workflow", "list", "--limit", 1, "--cursor", first["next_cursor"], "--json"))

    assert first["workflows"][0]["id"] != second["workflows"][0]["id"]
    assert "--cursor" in cli("workflow", "list", "--limit", 1).stdout


def test_a_document_can_be_taken_out_changed_and_put_back(cli: Cli, hello: str, tmp_path: Path) -> None:
    document = told(cli("workflow", "show", hello, "--document"))
    document["name"] = "Hello again"

    saved = told(cli("workflow", "update", hello, write(tmp_path / "flow.json", document), "--json"))

    assert saved["version"] == 2
    assert saved["workflow"]["name"] == "Hello again"
    assert [one["version"] for one in told(cli("workflow", "versions", hello, "--json"))["versions"]] == [2, 1]
    assert "owner" in cli("workflow", "versions", hello).stdout
    assert told(cli("workflow", "show", hello, "--version", 1, "--json"))["document"]["name"] == "Hello"


def test_a_change_from_an_old_version_is_refused(cli: Cli, hello: str) -> None:
    cli("workflow", "update", hello, HELLO)

    result = cli("workflow", "update", hello, HELLO, "--expected-version", 1, exits=1)

    assert "workflow.version_conflict" in result.stderr


def test_publishing_tells_the_webhooks(cli: Cli, tmp_path: Path) -> None:
    file = write(tmp_path / "hook.json", hook("cli/tells"))

    created = cli("workflow", "create", file, "--publish")

    assert "POST /webhook/cli/tells" in created.stdout
    workflow_id = created.stdout.partition(":")[0]
    assert "not published any more" in cli("workflow", "unpublish", workflow_id).stdout
    assert told(cli("workflow", "unpublish", workflow_id, "--json"))["published_version"] is None
    assert "version 1 is published" in cli("workflow", "publish", workflow_id).stdout
    assert told(cli("workflow", "publish", workflow_id, "--json"))["webhooks"] == ["POST /webhook/cli/tells"]
    assert "cli/tells" in cli("workflow", "update", workflow_id, file, "--publish").stdout


def test_deleting_asks_first(cli: Cli, hello: str) -> None:
    cli("workflow", "delete", hello, stdin="n\n", exits=1)
    assert hello in cli("workflow", "list").stdout

    cli("workflow", "delete", hello, stdin="y\n")

    assert hello not in cli("workflow", "list").stdout
    assert told(
        cli("workflow", "delete", told(cli("workflow", "create", HELLO, "--json"))["workflow"]["id"], "-y", "--json")
    )


def test_a_draft_is_stored_with_what_it_lacks(cli: Cli, tmp_path: Path) -> None:
    draft = workflow({"set": {"type": "data.set"}})

    result = cli("workflow", "create", write(tmp_path / "draft.json", draft))

    assert "version 1" in result.stdout
    assert "trigger" in result.stdout


def test_the_servers_problems_are_shown_as_a_table(cli: Cli, tmp_path: Path) -> None:
    broken = write(tmp_path / "flow.json", workflow({"a": {"type": "data.set"}}, ("a", "nowhere")))

    result = cli("workflow", "create", broken, exits=1)
    as_json = cli("workflow", "create", broken, "--json", exits=1)

    assert "/edges/0" in result.stderr
    assert orjson.loads(as_json.stderr)["problems"][0]["path"].startswith("/edges/0")
    assert as_json.stdout == ""


def test_an_unknown_workflow_is_an_error_with_a_hint(cli: Cli) -> None:
    result = cli("workflow", "show", "wf_none", exits=1)

    assert "workflow.not_found" in result.stderr
    assert "budflow workflow list" in result.stderr


@pytest.mark.parametrize("wrong", ["", "../executions", "wf_1?version=2", "a/b"])
def test_an_id_that_would_lead_elsewhere_is_wrong_usage(cli: Cli, served: OwnerThread, wrong: str) -> None:
    refused = cli("workflow", "show", wrong, exits=2)

    assert "is no id" in refused.stderr
