"""The head of a request has limits, and whoever passes them is told or cut off."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from budflow.server import bounded_http
from budflow.server.bounded_http import HEAD_BYTES_MAX, BoundedHttp

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n"


async def app(
    scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[MutableMapping[str, Any]], Awaitable[None]]
) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
async def connect() -> AsyncIterator[Callable[[], Awaitable[Streams]]]:
    """Opens connections to a server whose protocol is the bounded one."""
    config, state = uvicorn.Config(app, log_config=None), ServerState()
    config.load()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: BoundedHttp(config, state, {}), "127.0.0.1", 0)
    opened: list[asyncio.StreamWriter] = []

    async def open_one() -> Streams:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        opened.append(writer)
        return reader, writer

    yield open_one
    for writer in opened:
        writer.close()
    server.close()
    for connection in list(state.connections):
        connection.transport.abort()
    await server.wait_closed()


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in head.lower().splitlines() if line.startswith(b"content-length:"))
    return int(head.split()[1]), await reader.readexactly(int(length.split(b":")[1]))


@pytest.mark.parametrize(
    "endless", [REQUEST + b"X: " + b"a" * 1_000_000, REQUEST + b"X: a\r\n" * 100_000, b"GET /" + b"a" * 1_000_000]
)
async def test_an_endless_head_is_refused(connect: Callable[[], Awaitable[Streams]], endless: bytes) -> None:
    reader, writer = await connect()
    writer.write(endless[: HEAD_BYTES_MAX + 1])

    status, body = await answer(reader)

    assert (status, json.loads(body)["code"]) == (431, "request.head_too_large")
    assert await reader.read() == b""  # And it is closed.


async def test_many_requests_on_one_connection_are_each_counted_anew(
    connect: Callable[[], Awaitable[Streams]],
) -> None:
    reader, writer = await connect()
    for _ in range(3):
        writer.write(REQUEST + b"X: " + b"a" * (HEAD_BYTES_MAX // 2) + b"\r\n\r\n")
        assert (await answer(reader))[0] == 200


@pytest.mark.parametrize("begun", [b"", REQUEST])
async def test_a_head_that_does_not_come_is_waited_for_only_so_long(
    connect: Callable[[], Awaitable[Streams]], begun: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_http, "HEAD_SECONDS_MAX", 0.01)
    reader, writer = await connect()
    writer.write(begun)

    assert await reader.read() == b""


async def test_a_request_that_is_complete_may_be_answered_late(
    connect: Callable[[], Awaitable[Streams]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_http, "HEAD_SECONDS_MAX", 60.0)
    reader, writer = await connect()
    writer.write(REQUEST + b"\r\n")

    assert await answer(reader) == (200, b"ok")


async def test_what_is_no_http_is_told_so(connect: Callable[[], Awaitable[Streams]]) -> None:
    reader, writer = await connect()
    writer.write(b"\x16\x03\x01\x00\xa5\x01\x00")

    status, body = await answer(reader)

    assert (status, json.loads(body)["code"]) == (400, "request.malformed")
