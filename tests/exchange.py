"""A caller that speaks ASGI itself, for what HTTP clients hide: chunks, lies about lengths, hanging up, streams."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

ASGIApp = Callable[..., Awaitable[None]]


class Exchange:
    """One request to an ASGI application, with the request's chunks and the answer's messages in the test's hands."""

    def __init__(self, app: ASGIApp, method: str, target: str, headers: Mapping[str, str] | None = None) -> None:
        path, _, query = target.partition("?")
        self._scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "scheme": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "client": ("127.0.0.1", 50000),
            "server": ("127.0.0.1", 8710),
            "headers": [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()],
        }
        self._incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._outgoing: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue()
        self.task = asyncio.create_task(self._run(app))

    async def _run(self, app: ASGIApp) -> None:
        await app(self._scope, self._incoming.get, self._outgoing.put)

    def send(self, chunk: bytes, *, more: bool = False) -> None:
        """Send a chunk of the body."""
        self._incoming.put_nowait({"type": "http.request", "body": chunk, "more_body": more})

    def hang_up(self) -> None:
        """Close the connection."""
        self._incoming.put_nowait({"type": "http.disconnect"})

    async def status(self) -> int:
        """The status of the answer, once it begins."""
        async with asyncio.timeout(10):
            status: int = (await self._outgoing.get())["status"]
        return status

    async def headers(self) -> dict[str, str]:
        """The headers of the answer, once it begins; instead of `status`."""
        async with asyncio.timeout(10):
            begun = await self._outgoing.get()
        return {name.decode(): value.decode() for name, value in begun["headers"]}

    async def chunk(self) -> bytes:
        """The next chunk of the answer's body."""
        async with asyncio.timeout(10):
            body: bytes = (await self._outgoing.get()).get("body", b"")
        return body

    @property
    def answered(self) -> bool:
        """Whether anything was sent that the test has not read."""
        return not self._outgoing.empty()
