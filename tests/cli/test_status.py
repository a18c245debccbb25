"""`budflow status`: real figures of the server, or that there is none."""

from io import StringIO
from typing import Any

import orjson
import pytest
from rich.console import Console

from budflow.cli.commands import status as status_module
from budflow.cli.commands.status import app as status_app
from budflow.cli.exit_codes import ServerUnreachable
from budflow.storage.owner import OwnerLock
from tests.cli.conftest import Cli, OwnerThread, told


def test_it_says_that_no_server_is_running(cli: Cli) -> None:
    assert "No server is running" in cli("status", exits=3).stderr
    assert told(cli("status", "--json", exits=3)) == {
        "running": False,
        "owner": None,
        "server": None,
        "cluster": None,
    }


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


def test_it_shows_the_whole_installation(cli: Cli, served: OwnerThread) -> None:
    shown = cli("status").stdout
    cluster = told(cli("status", "--json"))["cluster"]

    assert "empty" in shown
    assert "failed a second" in shown
    assert cluster["unused"]["redis"] in " ".join(shown.split())
    assert [runner["kind"] for runner in cluster["runners"]] == ["main"]


class Clock:
    """Instead of a second's sleep: lets some pass, then Ctrl-C comes."""

    def __init__(self, seconds: int) -> None:
        self.left = seconds

    def sleep(self, _: float) -> None:
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1


def test_watching_writes_a_line_a_second_until_it_is_interrupted(
    cli: Cli, served: OwnerThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("budflow.cli.commands.status.time", Clock(2))

    lines = [orjson.loads(line) for line in cli("status", "--watch", "--json").stdout.splitlines()]

    assert [line["running"] for line in lines] == [True, True, True]


def test_watching_goes_on_while_the_server_is_away(
    cli: Cli, served: OwnerThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([None, ServerUnreachable("It cannot be reached."), None])
    read = status_module._read

    def flaky(*args: Any) -> dict[str, Any]:
        problem = next(answers)
        if problem is not None:
            raise problem
        return read(*args)

    monkeypatch.setattr(status_module, "_read", flaky)
    monkeypatch.setattr(status_module, "time", Clock(2))

    lines = [orjson.loads(line) for line in cli("status", "--watch", "--json").stdout.splitlines()]

    assert [line["running"] for line in lines] == [True, False, True]
    assert lines[1]["problem"] == "It cannot be reached."


def test_watching_draws_only_on_a_terminal(cli: Cli, served: OwnerThread) -> None:
    assert "--json" in cli("status", "--watch", exits=2).stderr


def test_watching_says_that_no_server_is_running(cli: Cli) -> None:
    assert told(cli("status", "--watch", "--json", exits=3))["running"] is False


def test_a_terminal_is_drawn_on_again_and_again(cli: Cli, served: OwnerThread, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Console(force_terminal=True, width=160, height=60, file=StringIO())
    monkeypatch.setattr(status_module, "out", lambda: terminal)
    monkeypatch.setattr(status_module, "time", Clock(1))

    cli("status", "--watch")

    assert isinstance(terminal.file, StringIO)
    assert terminal.file.getvalue().count("Runners") >= 2
