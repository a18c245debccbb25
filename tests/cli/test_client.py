"""The command line as a client: keys, addresses, and servers that do not answer as expected."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import orjson
import pytest

from tests.cli.conftest import Cli, OwnerThread


@contextmanager
def answering(raw: bytes) -> Iterator[str]:
    """The URL of a server that answers everything with `raw`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(raw)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUDFLOW_KEY", "bf_something")


def test_a_url_needs_a_key(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BUDFLOW_KEY")

    assert "BUDFLOW_KEY" in cli("--url", "http://127.0.0.1:1", "status", exits=2).stderr


def test_a_wrong_key_is_refused_by_the_server(cli: Cli, server: OwnerThread) -> None:
    assert "auth.key_refused" in cli("--url", server.url, "status", exits=1).stderr


def test_the_url_also_comes_by_variable(cli: Cli, server: OwnerThread, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUDFLOW_URL", server.url)

    assert "auth.key_refused" in cli("status", exits=1).stderr


def test_a_server_that_is_not_there_exits_with_3(cli: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]

    result = cli("--url", f"http://127.0.0.1:{port}", "status", "--json", exits=3)

    assert orjson.loads(result.stderr)["code"] == "server.unreachable"


def test_an_address_that_is_none_is_wrong_usage(cli: Cli) -> None:
    assert "address" in cli("--url", "http://127.0.0.1:port", "status", exits=2).stderr


def test_a_server_that_is_no_budflow_is_told_as_such(cli: Cli) -> None:
    with answering(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno\n") as url:
        assert "502" in cli("--url", url, "status", exits=1).stderr


def test_a_server_that_answers_no_json_is_told_as_such(cli: Cli) -> None:
    with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nhi\n") as url:
        assert "no JSON" in cli("--url", url, "status", exits=3).stderr


def test_a_server_that_hangs_up_is_unreachable(cli: Cli) -> None:
    with answering(b"") as url:
        assert "server.unreachable" in cli("--url", url, "execution", "events", "exe_1", exits=3).stderr


def test_an_event_that_cannot_be_read_is_told_as_the_error_that_it_is(cli: Cli) -> None:
    stream = (
        b'event: error\ndata: {"code": "journal.unreadable", "detail": "Event 1 is missing.", "hint": "Restore."}\n\n'
    )
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
    with answering(head + stream) as url:
        told = cli("--url", url, "execution", "events", "exe_1", exits=1).stderr

    assert "journal.unreadable" in told
    assert "Event 1 is missing." in told
