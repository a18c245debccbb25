"""Who does not read what the proxy carries to it costs the host no file descriptor for longer than its connection."""

import asyncio
import contextlib
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from budflow.sandbox.egress.proxy import Egress, EgressLimits, EgressSocket
from tests.until import until

CONNECTIONS = 5
MORE_THAN_BUFFERS_HOLD = b"x" * (16 << 20)


async def loopback(_host: str, _port: int) -> Sequence[IPv4Address]:
    return [IPv4Address("127.0.0.1")]


@pytest.fixture
def deaf() -> Iterator[str]:
    """The host and port of a server that takes connections and never reads from them."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"deaf.example:{listening.getsockname()[1]}"


@pytest.fixture
async def way_out(deaf: str) -> AsyncIterator[EgressSocket]:
    directory = Path(tempfile.mkdtemp(prefix="budflow-"))
    egress = Egress(loopback, EgressLimits(idle_seconds=1.0), lambda _: None)
    served = await egress.serve(directory / "egress.sock", (deaf,), "a/task")
    yield served
    await served.close()
    shutil.rmtree(directory)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - only how many


async def fill(way_out: EgressSocket, host: str) -> asyncio.StreamWriter:
    """Send more than anybody takes."""
    reader, writer = await asyncio.open_unix_connection(way_out.path)
    writer.write(f"CONNECT {host} HTTP/1.1\r\n\r\n".encode())
    assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
    writer.write(MORE_THAN_BUFFERS_HOLD)
    with contextlib.suppress(TimeoutError, ConnectionError):  # Or the proxy has given up on it already.
        await asyncio.wait_for(writer.drain(), 0.1)
    return writer


async def test_when_the_task_ends(way_out: EgressSocket, deaf: str) -> None:
    before = open_files()
    writers = await asyncio.gather(*(fill(way_out, deaf) for _ in range(CONNECTIONS)))

    await way_out.allow((), "idle")
    for writer in writers:
        writer.transport.abort()

    await until(lambda: open_files() == before)


async def test_when_the_code_goes_away(way_out: EgressSocket, deaf: str) -> None:
    before = open_files()

    for writer in await asyncio.gather(*(fill(way_out, deaf) for _ in range(CONNECTIONS))):
        writer.transport.abort()

    await until(lambda: open_files() == before)
