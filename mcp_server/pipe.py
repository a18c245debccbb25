"""One conversation in lines: JSON-RPC messages as text, in and out, the same over stdio and over a WebSocket.

`Conversation` stands between whatever carries the lines and one run of the SDK's server, which takes the protocol era
from the first request. It knows the open requests, so that it can end in order.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import orjson
from anyio.abc import ObjectReceiveStream
from mcp.server.lowlevel import Server
from mcp.shared.message import SessionMessage
from mcp_types import (
    INVALID_REQUEST,
    PARSE_ERROR,
    ErrorData,
    JSONRPCError,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
    jsonrpc_message_adapter,
)
from pydantic import ValidationError


class Conversation:
    """A client's conversation with `server`. Answers go to `write`, a message each, without a line's end."""

    def __init__(self, server: Server[Any], write: Callable[[str], Awaitable[None]]) -> None:
        self._server = server
        self._write = write
        self._open: set[str | int] = set()
        self._settled = asyncio.Event()
        self._settled.set()
        self._held = False
        # No buffer: a client that sends faster than the server takes is slowed down.
        self._requests, self._incoming = anyio.create_memory_object_stream[SessionMessage | Exception](0)

    async def run(self) -> None:
        """Serve until `close`."""
        outgoing, answers = anyio.create_memory_object_stream[SessionMessage](0)
        async with self._requests, answers, anyio.create_task_group() as group:
            group.start_soon(self._send, answers)
            await self._server.run(self._incoming, outgoing, self._server.create_initialization_options())
            group.cancel_scope.cancel()

    async def take(self, line: str | bytes) -> None:
        """Hand in one message. Dropped while draining: whoever sent it sees the conversation end without an answer."""
        if self._held:
            return
        try:
            message = jsonrpc_message_adapter.validate_json(line, by_name=False)
        except ValidationError:
            await self._refuse(line)
            return
        if isinstance(message, JSONRPCRequest):
            self._open.add(message.id)
            self._settled.clear()
        elif isinstance(message, JSONRPCNotification) and message.method == "notifications/cancelled":
            cancelled = (message.params or {}).get("requestId")
            self._close_request(cancelled if isinstance(cancelled, str | int) else None)  # It is answered no more.
        await self._requests.send(SessionMessage(message))

    async def drain(self, seconds: float) -> None:
        """Take no new messages, and return when the open requests are answered or the time is over."""
        self._held = True
        with anyio.move_on_after(seconds):
            await self._settled.wait()

    def close(self) -> None:
        """End `run`; requests that are still open are cancelled."""
        self._requests.close()

    async def _send(self, answers: ObjectReceiveStream[SessionMessage]) -> None:
        async for answer in answers:
            message = answer.message
            await self._write(message.model_dump_json(by_alias=True, exclude_unset=True))
            if isinstance(message, JSONRPCResponse | JSONRPCError):
                self._close_request(message.id)

    def _close_request(self, request_id: str | int | None) -> None:
        if request_id is not None:
            self._open.discard(request_id)
        if not self._open:
            self._settled.set()

    async def _refuse(self, line: str | bytes) -> None:
        # The SDK only logs such a line, and its sender would wait for ever.
        request_id = None
        try:
            shape = orjson.loads(line)
        except orjson.JSONDecodeError:
            error = ErrorData(code=PARSE_ERROR, message="This is no JSON: send one JSON-RPC 2.0 message a line.")
        else:
            error = ErrorData(code=INVALID_REQUEST, message="This is no JSON-RPC 2.0 message.")
            named = shape.get("id") if isinstance(shape, dict) else None
            request_id = named if isinstance(named, str | int) and not isinstance(named, bool) else None
        refusal = JSONRPCError(jsonrpc="2.0", id=request_id, error=error)
        await self._write(refusal.model_dump_json(by_alias=True, exclude_unset=True))
