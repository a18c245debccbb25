"""A small HTTP service whose answer the test holds back: what workflows wait for in tests of waiting."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Gate:
    """`arrived` is set by the first request; every request is answered with `{"open": true}` once `release` is set."""

    def __init__(self) -> None:
        self.arrived, self.release = asyncio.Event(), asyncio.Event()
        self.requests = 0
        self.url = ""

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.requests += 1
        self.arrived.set()
        await self.release.wait()
        body = b'{"open": true}'
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
        writer.write(head % len(body) + body)
        await writer.drain()
        writer.close()


@asynccontextmanager
async def open_gate() -> AsyncIterator[Gate]:
    """A gate on a free port of loopback, closed at first."""
    gate = Gate()
    server = await asyncio.start_server(gate._serve, "127.0.0.1", 0)
    gate.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    try:
        yield gate
    finally:
        gate.release.set()
        server.close()
