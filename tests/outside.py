"""A small HTTP service that workflows in tests call: it answers with what the test sets, and remembers the requests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Request:
    """One request: its path and its headers, by name in lower case."""

    path: str
    headers: dict[str, str]


class Outside:
    """`failing` are the paths that are answered with 400; all others with 200 and `{"ok": true}`."""

    def __init__(self) -> None:
        self.failing: set[str] = set()
        self.requests: list[Request] = []
        self.url = ""

    def paths(self) -> list[str]:
        """The paths that were asked for, in order."""
        return [request.path for request in self.requests]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        await reader.readexactly(int(headers.get("content-length", "0")))
        path = first.split(" ")[1]
        self.requests.append(Request(path, headers))
        status = b"400 Bad Request" if path in self.failing else b"200 OK"
        body = b'{"ok": true}'
        answer = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
        writer.write(answer % (status, len(body)) + body)
        await writer.drain()
        writer.close()


@asynccontextmanager
async def open_outside() -> AsyncIterator[Outside]:
    """The service on a free port of loopback; `url` ends without a slash."""
    outside = Outside()
    server = await asyncio.start_server(outside._serve, "127.0.0.1", 0)
    outside.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield outside
    finally:
        server.close()
