"""What `--host`, `--grant` and their opposites ask of the server, and that the changes of others are kept."""

from pathlib import Path
from typing import Any

import pytest

from budflow.cli.commands import credential as commands
from budflow.cli.credential_changes import changed_hosts, grants_named, require_granted
from budflow.cli.exit_codes import UsageError
from tests.cli.conftest import Cli, told, write

VALUE = "canary-8d20c4"


def test_grants_are_named_by_kind_and_once() -> None:
    named = grants_named(["workflow:wf_1", "project", "principal:ann", "principal:ann", "principal:key:b"])

    assert named == {"project": True, "principals": ["ann", "key:b"], "workflows": ["wf_1"]}
    assert grants_named([]) == {"project": False, "principals": [], "workflows": []}


@pytest.mark.parametrize("revoked", ["project", "principal:wf_1", "workflow:ann"])
def test_what_is_not_granted_cannot_be_revoked(revoked: str) -> None:
    before = {"project": False, "principals": ["ann"], "workflows": ["wf_1"]}
    require_granted(before, ["principal:ann", "workflow:wf_1"])

    with pytest.raises(UsageError, match="is not granted"):
        require_granted(before, [revoked])


def test_hosts_are_added_and_removed() -> None:
    assert changed_hosts(["a", "b"], ["c", "a"], ["b"]) == ["a", "c"]
    with pytest.raises(UsageError, match="none of its hosts"):
        changed_hosts(["a"], [], ["b"])


@pytest.mark.usefixtures("served")
def test_a_grant_that_somebody_else_makes_meanwhile_is_kept(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = write(tmp_path / "values.json", {"token": VALUE})
    values.chmod(0o600)
    cli("credential", "add", "--kind", "bearer", "--name", "crm", "--host", "crm.example.com", "--file", values)

    def read_while_another_grants(_: str) -> dict[str, Any]:
        cli("credential", "update", "crm", "--grant", "principal:ann", "--revoke", "principal:owner")
        return {"token": VALUE}

    monkeypatch.setattr(commands, "values_from_file", read_while_another_grants)
    changed = told(cli("credential", "update", "crm", "--grant", "principal:bob", "--file", "-", "--json"))

    assert changed["grants"]["principals"] == ["ann", "bob"]
