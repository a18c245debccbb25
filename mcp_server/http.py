"""The MCP door of a server: `/mcp` (streamable HTTP) and `/mcp/stdio` (WebSocket), as one ASGI application.

It checks the key, then where the request claims to go and to come from, then opens what serves it. The SDK costs a
second of imports: they happen in a thread, when the server says so (`warm`) or with the first request.
"""

import asyncio
import importlib
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit

from budflow.errors import BudflowError
from budflow.model.principal import Principal
from budflow.services.keys import Keys
from budflow.services.problem_document import MEDIA_TYPE, ProblemDocument, problem_headers
from budflow.services.use_case import Services

if TYPE_CHECKING:
    from mcp_server.sessions import Sessions

HTTP_PATH = "/mcp"
PIPE_PATH = "/mcp/stdio"
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
POLICY_VIOLATION = 1008  # RFC 6455, 7.4.1.

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]


class HostRefused(BudflowError):
    """The request was sent to a name that is not this server's."""

    code = "mcp.host_refused"
    http_status = 421
    hint = "Use the address that the server announces; a name in front of it must be allowed in its settings."


class OriginRefused(BudflowError):
    """A page of another origin sent the request."""

    code = "mcp.origin_refused"
    http_status = 403
    hint = "Call from a program or from a page of this server; this keeps other pages in your browser out."


class McpPathUnknown(BudflowError):
    """There is nothing at this path."""

    code = "mcp.path_unknown"
    http_status = 404
    hint = f"MCP over HTTP is at {HTTP_PATH}."


class McpClosed(BudflowError):
    """The server is shutting down."""

    code = "mcp.closed"
    http_status = 503
    hint = "Connect again in a few seconds."


class McpDoor:
    """The ASGI application. `hosts` are the names, without a port, under which clients may reach this server.

    Dispatch to it in front of a router, since a mounted application would answer `/mcp` with a redirect to `/mcp/`.
    """

    def __init__(self, services: Services, keys: Keys, *, hosts: Collection[str] = LOOPBACK_HOSTS) -> None:
        self._services = services
        self._keys = keys
        self._hosts = frozenset(host.strip("[]").lower() for host in hosts)
        self._opening = asyncio.Lock()
        self._sessions: Sessions | None = None
        self._closed = False

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one HTTP request or one WebSocket."""
        pipe = scope["type"] == "websocket"
        if pipe:
            await receive()  # `websocket.connect`, which comes before any answer.
        try:
            principal = self._admit(scope, PIPE_PATH if pipe else HTTP_PATH)
            sessions = await self._open()
        except BudflowError as error:
            await _refuse(error, scope, send)
            return
        if pipe:
            await send({"type": "websocket.accept"})
            await sessions.converse(principal, receive, send)
        else:
            await sessions.request(principal, scope, receive, send)

    async def warm(self) -> None:
        """Import and open all that the first request would wait for; call it when the server is ready."""
        if not self._closed:
            await self._open()

    async def drain(self, seconds: float) -> None:
        """Take nothing new, answer the open requests within `seconds`, end all sessions; before the server exits.

        The other way round the server would wait for streams that never end.
        """
        self._closed = True
        async with self._opening:
            sessions, self._sessions = self._sessions, None
        if sessions is not None:
            await sessions.close(seconds)

    async def stop(self) -> None:
        """End all sessions now."""
        await self.drain(0)

    def _admit(self, scope: Message, path: str) -> Principal:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        principal = self._keys.principal(headers.get("authorization"), "mcp")
        if _hostname(f"//{headers.get('host', '')}") not in self._hosts:
            raise HostRefused
        if "origin" in headers and _hostname(headers["origin"]) not in self._hosts:
            raise OriginRefused
        if scope["path"].rstrip("/") != path:
            raise McpPathUnknown
        return principal

    async def _open(self) -> "Sessions":
        async with self._opening:
            if self._closed:
                raise McpClosed
            if self._sessions is None:
                await asyncio.to_thread(importlib.import_module, "mcp_server.sessions")
                from mcp_server.sessions import Sessions  # noqa: PLC0415 - imported in a thread, the line above

                self._sessions = await Sessions.open(self._services)
            return self._sessions


def _hostname(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


async def _refuse(error: BudflowError, scope: Message, send: Send) -> None:
    """Answer with a problem document; a WebSocket gets it in place of its handshake."""
    kind = "http.response"
    if scope["type"] == "websocket":
        if "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": error.code})
            return
        kind = "websocket.http.response"
    fields = {"Content-Type": MEDIA_TYPE, **problem_headers(error)}
    headers = [(name.lower().encode(), value.encode()) for name, value in fields.items()]
    await send({"type": f"{kind}.start", "status": error.http_status, "headers": headers})
    await send({"type": f"{kind}.body", "body": ProblemDocument.of(error, scope["path"]).json_bytes()})
