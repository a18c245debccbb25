"""`budflow status`: real figures of the server, or that there is none."""

import pytest

from budflow.cli.commands.status import app as status_app
from budflow.storage.owner import OwnerLock
from tests.cli.conftest import Cli, OwnerThread, told


def test_it_says_that_no_server_is_running(cli: Cli) -> None:
    assert "No server is running" in cli("status", exits=3).stderr
    assert told(cli("status", "--json", exits=3)) == {"running": False, "owner": None, "server": None}


def test_it_shows_the_owner_and_the_figures(cli: Cli, served: OwnerThread) -> None:
    shown = cli("status").stdout
    figures = told(cli("status", "--json"))

    assert served.url in shown
    assert "sqlite" in shown
    assert figures["running"] is True
    assert figures["owner"]["kind"] == "serve"
    assert figures["server"]["database"] == "sqlite"
    assert figures["server"]["executions"] == {"queued": 0, "running": 0, "waiting": 0}
    assert "0 waiting" in shown
    [runner] = figures["server"]["runners"]
    assert runner["id"] == figures["server"]["runner"]
    assert runner["id"] in shown


def test_another_server_is_asked_by_its_url(cli: Cli, server: OwnerThread, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUDFLOW_KEY", server.key)

    figures = told(cli("--url", server.url, "status", "--json"))

    assert figures["owner"] is None
    assert figures["server"]["pid"]


def test_an_owner_that_does_not_listen_yet_is_told_apart_from_none(
    cli: Cli, data_dir: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("budflow.cli.client.CONNECT_SECONDS", 0.2)
    with OwnerLock.acquire(data_dir, "mcp"):  # type: ignore[arg-type]  # the fixture's Path
        assert "does not listen" in cli("status", exits=3).stderr


def test_the_command_stands_alone() -> None:
    assert status_app.registered_commands
