"""Strangers at the doors for workers: not too many at once, not for long, and before TLS costs anything."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvloop
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from budflow.sandbox.access import Tickets
from budflow.sandbox.greet import STRANGER_OPTIONS
from budflow.sandbox.runners import WorkerKind
from budflow.sandbox.start_worker import WorkerStarter
from budflow.sandbox.strangers import Strangers
from tests.certificate import self_signed
from tests.sandbox.fake_workers import FakeRunner, FakeWorker
from tests.until import until

SECONDS = 10.0


@dataclass
class Door:
    """One that serves, of which `greeted` were let in."""

    strangers: Strangers
    port: int
    client: ssl.SSLContext
    greeted: int = 0
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def come(self, *, tls: bool = False) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect, and say nothing."""
        options: dict[str, Any] = {"ssl": self.client, "server_hostname": "localhost"} if tls else {}
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, **options)
        self.writers.append(writer)
        return reader, writer

    async def leave(self) -> None:
        """Close what came."""
        for writer in self.writers:
            writer.transport.abort()
        await asyncio.gather(*(writer.wait_closed() for writer in self.writers), return_exceptions=True)

    async def there(self, count: int) -> None:
        """Return when so many are at the door."""
        await until(lambda: len(self.strangers) == count, SECONDS)


Do = Callable[[Door], Awaitable[None]]
Visit = Callable[[Do, Strangers], None]


@pytest.fixture(params=["asyncio", "uvloop"])
def visit(request: pytest.FixtureRequest, tmp_path: Path) -> Visit:
    """Do something at a door, in a loop of each kind: sandboxd has that of uvloop."""
    certificate, key = self_signed("localhost")
    (tmp_path / "cert.pem").write_bytes(certificate)
    (tmp_path / "key.pem").write_bytes(key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    client = ssl.create_default_context(cafile=tmp_path / "cert.pem")

    @asynccontextmanager
    async def opened(strangers: Strangers) -> AsyncIterator[Door]:
        async def hear(connection: ServerConnection) -> None:
            if await connection.recv() == "ticket":
                strangers.greeted(connection)
                door.greeted += 1
                async for frame in connection:
                    await connection.send(frame)

        options = {**STRANGER_OPTIONS, "create_connection": strangers.connecting(context)}
        server = await serve(hear, "127.0.0.1", 0, **options)
        door = Door(strangers, next(iter(server.sockets)).getsockname()[1], client)
        try:
            yield door
        finally:
            server.close()
            strangers.close()
            async with asyncio.timeout(SECONDS):
                await server.wait_closed()
            await door.leave()

    def visit_door(do: Do, strangers: Strangers) -> None:
        async def run() -> None:
            async with asyncio.timeout(3 * SECONDS), opened(strangers) as door:
                await do(door)

        with asyncio.Runner(loop_factory=uvloop.new_event_loop if request.param == "uvloop" else None) as runner:
            runner.run(run())

    return visit_door


async def _ended(reader: asyncio.StreamReader) -> None:
    async with asyncio.timeout(SECONDS):
        with suppress(ConnectionError):
            assert await reader.read() == b""


def test_one_too_many_is_turned_away_at_once_and_the_others_stay(
    visit: Visit, caplog: pytest.LogCaptureFixture
) -> None:
    async def flood(door: Door) -> None:
        first = [await door.come() for _ in range(2)]
        await door.there(2)
        for _ in range(5):
            await _ended((await door.come())[0])
        assert caplog.messages == ["sandbox.strangers_refused"]
        assert len(door.strangers) == 2

        first[0][1].close()
        await door.there(1)
        await door.come()
        await door.there(2)

    visit(flood, Strangers(4))


def test_one_that_never_begins_tls_is_closed_in_time(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("budflow.sandbox.strangers.HELLO_SECONDS", 0.3)

    async def wait(door: Door) -> None:
        reader, _ = await door.come()
        await door.there(1)
        await _ended(reader)
        await door.there(0)

    visit(wait, Strangers())


def test_one_that_begins_tls_byte_by_byte_is_closed_in_time(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("budflow.sandbox.strangers.HELLO_SECONDS", 0.3)

    async def drip(door: Door) -> None:
        reader, writer = await door.come()
        writer.write(b"\x16\x03\x01")  # The beginning of a ClientHello (RFC 8446, 5.1).
        await door.there(1)
        await _ended(reader)
        await door.there(0)

    visit(drip, Strangers())


def test_one_that_says_no_hello_is_closed_in_time(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("budflow.sandbox.strangers.HELLO_SECONDS", 0.3)

    async def say_nothing(door: Door) -> None:
        reader, _ = await door.come(tls=True)
        async with connect(f"wss://localhost:{door.port}", ssl=door.client, compression=None) as connection:
            await door.there(2)
            await _ended(reader)
            with pytest.raises(ConnectionClosed):
                await connection.recv()
        await door.there(0)

    visit(say_nothing, Strangers())


def test_one_that_speaks_no_tls_is_closed(visit: Visit) -> None:
    async def speak(door: Door) -> None:
        reader, writer = await door.come()
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        async with asyncio.timeout(SECONDS):
            with suppress(ConnectionError):
                await reader.read()  # Perhaps TLS's word for it.
        await door.there(0)

    visit(speak, Strangers())


def test_who_was_greeted_counts_no_more_and_stays(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("budflow.sandbox.strangers.HELLO_SECONDS", 1.0)

    async def greet(door: Door) -> None:
        url = f"wss://localhost:{door.port}"
        links = [await connect(url, ssl=door.client, compression=None)]
        for _ in range(3):
            await links[-1].send("ticket")
            await until(lambda: door.greeted == len(links), SECONDS)
            links.append(await connect(url, ssl=door.client, compression=None))
        await door.there(1)
        await until(lambda: len(door.strangers) == 0, SECONDS)  # The last one was no longer waited for.
        for link in links[:-1]:
            await link.send("still there")
            assert await link.recv() == "still there"
            await link.close()

    visit(greet, Strangers(2))


def test_those_that_are_there_when_it_closes_are_not_waited_for(visit: Visit) -> None:
    strangers = Strangers()

    async def stay(door: Door) -> None:
        await door.come()
        await door.come(tls=True)
        await door.there(2)

    visit(stay, strangers)
    assert len(strangers) == 0


def test_one_that_has_just_come_when_it_closes_leaves_nothing_behind(visit: Visit) -> None:
    strangers = Strangers()
    let_in = strangers.let_in

    def close_then(connection: Any, address: str) -> bool:
        asyncio.get_running_loop().call_soon(strangers.close)  # Before TLS begins.
        return let_in(connection, address)

    strangers.let_in = close_then  # type: ignore[method-assign] # nothing else comes in between

    async def come(door: Door) -> None:
        await _ended((await door.come())[0])

    visit(come, strangers)
    assert len(strangers) == 0


@pytest.mark.parametrize("loop_factory", [None, uvloop.new_event_loop])
def test_the_door_of_one_worker_lets_in_few_strangers_and_still_the_worker(loop_factory: Any, tmp_path: Path) -> None:
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(_start_among_strangers(tmp_path))


async def _start_among_strangers(directory: Path) -> None:
    over = asyncio.Event()

    async def with_strangers(worker: FakeWorker) -> None:
        links = [await asyncio.open_unix_connection(str(runner.started[0].socket)) for _ in range(20)]
        ends = [asyncio.create_task(_ended(reader)) for reader, _ in links]
        _, stay = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        assert stay
        await worker.hello()
        await asyncio.gather(*ends)  # As soon as the worker is in.
        for _, writer in links:
            writer.close()
            await writer.wait_closed()
        over.set()
        await worker.receive()

    runner = FakeRunner([with_strangers])
    worker = await WorkerStarter(runner, directory, Tickets(b"k" * 32)).start(WorkerKind(""))
    async with asyncio.timeout(SECONDS):
        await over.wait()

    assert not worker.link.over.is_set()
    await worker.end()
    await runner.close()
