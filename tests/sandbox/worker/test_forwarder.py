"""Code that may reach hosts finds a proxy at a port, which carries every connection to the egress proxy's socket."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import pytest

from tests.sandbox.worker.broker import Broker

CONNECT = """
import os, socket
host, port = os.environ["https_proxy"].removeprefix("http://").split(":")
def connect():
    return socket.create_connection((host, int(port)), timeout=3)
def read(connection):
    data = b""
    while part := connection.recv(65536): data += part
    return data
"""


@pytest.fixture
def egress(tmp_path: Path) -> Iterator[list[bytes]]:
    """A proxy that answers every connection, once all was sent, by how much it was; what was sent to it."""
    seen: list[bytes] = []
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "egress.sock"))
    listener.listen()

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,)).start()

    def answer(connection: socket.socket) -> None:
        data = b""
        with connection:
            while part := connection.recv(65_536):
                data += part
            seen.append(data)
            with suppress(BrokenPipeError):  # Of a task that was ended meanwhile.
                connection.sendall(b"%d " % len(data) + data[::-1])

    thread = threading.Thread(target=serve)
    thread.start()
    yield seen
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


@pytest.fixture
def connected(egress: list[bytes], start_worker: Callable[..., AbstractContextManager[Broker]]) -> Iterator[Broker]:
    with start_worker() as broker:
        yield broker


def test_connections_are_carried_both_ways(connected: Broker, egress: list[bytes]) -> None:
    code = (
        CONNECT
        + """
one, other = connect(), connect()
other.sendall(b"abc")
one.sendall(b"x" * 3_000_000)
for each in (one, other): each.shutdown(socket.SHUT_WR)
return {"one": len(read(one)), "other": read(other).decode(), "host": host}
"""
    )
    outcome = connected.run(code)

    assert outcome.items == [{"one": 3_000_008, "other": "3 cba", "host": "127.0.0.1"}]
    assert sorted(len(data) for data in egress) == [3, 3_000_000]


def test_many_connections_come_and_go(connected: Broker) -> None:
    code = (
        CONNECT
        + """
for _ in range(150):
    connection = connect()
    connection.close()
told = connect()
told.shutdown(socket.SHUT_WR)
return {"told": read(told).decode()}
"""
    )
    assert connected.run(code).items == [{"told": "0 "}]


def test_every_task_has_a_forwarder_of_its_own(connected: Broker, egress: list[bytes]) -> None:
    left = connected.run(
        CONNECT + "c = connect()\nc.sendall(b'left')\nos.dup(c.fileno())\nwhile True: pass", timeout_seconds=0.3
    )
    assert left.code == "code.timed_out"

    code = CONNECT + "c = connect()\nc.sendall(b'next')\nc.shutdown(socket.SHUT_WR)\nreturn {'told': read(c).decode()}"
    assert connected.run(code).items == [{"told": "4 txen"}]


def test_where_there_is_no_egress_there_is_no_proxy(warm: Broker) -> None:
    assert warm.run("import os\nreturn {n: v for n, v in os.environ.items() if 'proxy' in n.lower()}").items == [{}]
