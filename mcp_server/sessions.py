"""What the MCP door opens once the SDK is imported: sessions of streamable HTTP, conversations over WebSocket."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

import anyio
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

from budflow.model.principal import Principal
from budflow.model.workflow import DOCUMENT_BYTES_MAX
from budflow.services.use_case import Services
from mcp_server.pipe import Conversation
from mcp_server.server import Context, build_server

#: A document of the largest size, written as a string in JSON, and the message around it.
REQUEST_BYTES_MAX = 2 * DOCUMENT_BYTES_MAX
SERVICE_RESTART = 1012  # RFC 6455's registry of close codes: come back, to whoever serves then.

_PRINCIPAL = "budflow.principal"

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]


class Sessions:
    """Everybody who is connected. Open it once with `Sessions.open`, end it with `close`."""

    def __init__(self, services: Services) -> None:
        """Use `Sessions.open`."""
        self._services = services
        self._manager = StreamableHTTPSessionManager(
            build_server(services, _sender), max_request_body_size=REQUEST_BYTES_MAX
        )
        self._conversations: dict[Conversation, Send] = {}
        self._busy = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._closing = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    @staticmethod
    async def open(services: Services) -> "Sessions":
        """Ready for the first request."""
        sessions = Sessions(services)
        ready = asyncio.Event()
        sessions._running = asyncio.create_task(sessions._run(ready), name="mcp-sessions")
        await ready.wait()
        return sessions

    async def request(self, principal: Principal, scope: Message, receive: Receive, send: Send) -> None:
        """One request of streamable HTTP, of either protocol era."""
        # The SDK binds a session to who opened it: another key, though valid, cannot go on with it.
        user = AuthenticatedUser(AccessToken(token="", client_id=principal.id, scopes=sorted(principal.permissions)))
        scope = {**scope, "user": user, _PRINCIPAL: principal}
        if scope["method"] != "POST":  # A GET is a stream that stays open as long as its session.
            await self._manager.handle_request(scope, receive, send)
            return
        self._busy += 1
        self._idle.clear()
        try:
            await self._manager.handle_request(scope, receive, send)
        finally:
            self._busy -= 1
            if not self._busy:
                self._idle.set()

    async def converse(self, principal: Principal, receive: Receive, send: Send) -> None:
        """One accepted WebSocket until its client leaves: a JSON-RPC message a text frame."""

        async def write(text: str) -> None:
            with contextlib.suppress(OSError):  # The client has left; its disconnect is on the way to `receive`.
                await send({"type": "websocket.send", "text": text})

        conversation = Conversation(build_server(self._services, lambda _: principal), write)
        self._conversations[conversation] = send
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(conversation.run)
                while (message := await receive())["type"] == "websocket.receive":
                    await conversation.take(message.get("text") or message.get("bytes") or b"")
                group.cancel_scope.cancel()
        finally:
            del self._conversations[conversation]

    async def close(self, drain_seconds: float) -> None:
        """End everything: no new messages, answers to the open requests within `drain_seconds`, then the streams."""
        async with anyio.create_task_group() as group:
            for conversation, send in list(self._conversations.items()):
                group.start_soon(_dismiss, conversation, send, drain_seconds)
            with anyio.move_on_after(drain_seconds):
                await self._idle.wait()
        self._closing.set()
        if self._running is not None:
            await self._running

    async def _run(self, ready: asyncio.Event) -> None:
        # The SDK's task group must be left by the task that entered it, which no request is.
        async with self._manager.run():
            ready.set()
            await self._closing.wait()


async def _dismiss(conversation: Conversation, send: Send, seconds: float) -> None:
    await conversation.drain(seconds)
    with contextlib.suppress(OSError):
        await send({"type": "websocket.close", "code": SERVICE_RESTART, "reason": "The server hands over."})


def _sender(context: Context) -> Principal:
    principal = context.request.scope[_PRINCIPAL] if context.request is not None else None
    if not isinstance(principal, Principal):
        raise TypeError("a request came past the door")
    return principal
