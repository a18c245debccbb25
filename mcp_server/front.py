"""The front of `budflow mcp`: one client on stdio, a backend behind it that may change while the client stays.

The backend is this process or the owner of the data directory. When ownership moves, the front goes over to the new
owner: it repeats the handshake that the client once made, and settles what was open. It reads as little of the
messages as that takes, and it imports neither the MCP SDK nor a web framework, so that a client starts fast.

    client line → outbox → backend → answer → client
                     ↑                 | gone: reads go back to the outbox, anything else is answered with an error
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from budflow.errors import BudflowError
from budflow.log import get_log

RECONNECT_SECONDS = 0.1
ENDING_SECONDS = 5.0  # What was asked before stdin ended is still answered within this time.
INTERNAL_ERROR = -32603
REPLAY_ID = "budflow:handshake"

#: Tools whose names begin so only read: a call that got lost is made again. A test holds them to their annotations.
READING = ("diff_", "evaluate_", "get_", "list_", "search_", "validate_")

log = get_log(__name__)


class BackendGone(BudflowError):
    """The BudFlow server that answered is gone."""

    code = "mcp.backend_gone"
    http_status = 503
    hint = "Call again in a few seconds; if it stays so, look at `budflow status`."


class Interrupted(BudflowError):
    """The server went away while it worked on this; it may or may not have been done."""

    code = "mcp.interrupted"
    http_status = 503
    hint = "Look whether it was done (list_executions, get_execution) and call again if not."


class Lines(Protocol):
    """The client's side."""

    async def read(self) -> bytes | None:
        """The next line; None when the client has left."""
        ...

    async def write(self, line: bytes) -> None:
        """Send one message. Raises OSError when the client has left."""
        ...


class Backend(Protocol):
    """A conversation with one server, a JSON-RPC message a line."""

    async def send(self, line: bytes) -> None:
        """Raises BackendGone."""
        ...

    async def receive(self) -> bytes:
        """The next message. Raises BackendGone when the conversation is over."""
        ...

    async def close(self) -> None: ...


Connect = Callable[[], Awaitable[Backend]]


@dataclass(slots=True)
class _Request:
    """A request of the client that has no answer yet."""

    line: bytes
    repeatable: bool
    sent: bool = False


class Front:
    """Between one client and whatever backend there is."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._outbox: deque[tuple[str | int | None, bytes]] = deque()
        self._open: dict[str | int, _Request] = {}
        self._initialize: bytes | None = None
        self._initialized: bytes | None = None
        self._backend: Backend | None = None
        self._held = False
        # What the tasks wait for; `_look` sets and clears them from the state above.
        self._sendable, self._drained, self._settled = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._parted, self._released = asyncio.Event(), asyncio.Event()
        self._look()

    async def run(self, connect: Connect) -> None:
        """Serve until the client leaves. `connect` is called first, and again whenever the backend is gone.

        It may wait for a server to come up. When it raises a BudflowError, what is open is answered with that, and
        it is called again at the next message.
        """
        serving = asyncio.create_task(self._serve(connect), name="mcp-front")
        listening = asyncio.create_task(self._listen(), name="mcp-client")
        try:
            await asyncio.wait({serving, listening}, return_when=asyncio.FIRST_COMPLETED)
            if not serving.done():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(ENDING_SECONDS):
                        await self._settled.wait()
        finally:
            for task in (serving, listening):
                task.cancel()
            ended = await asyncio.gather(serving, listening, return_exceptions=True)
            self._backend = None
            self._look()  # Whoever is about to hold it need not wait.
        for outcome in ended:
            # A client that has left shows as an OSError when it is written to: the normal end.
            if isinstance(outcome, Exception) and not isinstance(outcome, OSError):
                raise outcome

    @contextlib.asynccontextmanager
    async def held(self, drain_seconds: float) -> AsyncIterator[None]:
        """Let go of the backend while the block runs, then connect again.

        Requests that were sent are answered first, for at most `drain_seconds`; new ones wait.
        """
        self._held = True
        self._look()
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(drain_seconds):
                    await self._drained.wait()
            if self._backend is not None:
                await self._backend.close()
            await self._parted.wait()
            yield
        finally:
            self._held = False
            self._look()

    async def _listen(self) -> None:
        while (line := await self._lines.read()) is not None:
            if line.strip():
                self._note(line.strip())
                self._look()

    def _note(self, line: bytes) -> None:
        message = _parsed(line)
        method, request_id = message.get("method"), message.get("id")
        if method == "initialize":
            self._initialize = line
        elif method == "notifications/initialized":
            self._initialized = line
        elif method == "notifications/cancelled":
            cancelled = _params(message).get("requestId")
            if isinstance(cancelled, str | int):
                self._open.pop(cancelled, None)
        if method is not None and isinstance(request_id, str | int):
            self._open[request_id] = _Request(line, _repeatable(message))
            self._outbox.append((request_id, line))
        else:
            self._outbox.append((None, line))

    async def _serve(self, connect: Connect) -> None:
        while True:
            await self._released.wait()
            try:
                backend = await connect()
            except BudflowError as error:
                log.warning("mcp.no_backend", code=error.code, message=error.message)
                await self._refuse_all(error)
                await self._sendable.wait()
                continue
            self._backend = backend
            self._look()
            try:
                if not self._held:  # Else it was taken back while we connected.
                    await self._converse(backend)
            finally:
                await backend.close()
            await self._settle_lost()
            self._backend = None
            self._look()
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _converse(self, backend: Backend) -> None:
        """Until the backend is gone."""
        tasks = {asyncio.create_task(self._forward(backend)), asyncio.create_task(self._return(backend))}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        for outcome in ended:
            if isinstance(outcome, Exception) and not isinstance(outcome, BackendGone):
                raise outcome

    async def _forward(self, backend: Backend) -> None:
        await self._greet(backend)
        while True:
            await self._sendable.wait()
            if self._held or not self._outbox:
                continue
            request_id, line = self._outbox.popleft()
            if request_id in self._open:
                self._open[request_id].sent = True
            self._look()
            await backend.send(line)

    async def _greet(self, backend: Backend) -> None:
        """Repeat the handshake of the older protocol era; the newer has none."""
        if self._initialize is None:
            return
        opening = orjson.loads(self._initialize)
        if opening.get("id") in self._open:  # Not answered yet: it waits in the outbox itself.
            return
        await backend.send(orjson.dumps({**opening, "id": REPLAY_ID}))
        if self._initialized is not None:
            await backend.send(self._initialized)

    async def _return(self, backend: Backend) -> None:
        while True:
            line = await backend.receive()
            message = _parsed(line)
            if "method" not in message:
                if message.get("id") == REPLAY_ID:
                    continue
                self._open.pop(message.get("id", ""), None)
            await self._lines.write(line)
            self._look()

    async def _settle_lost(self) -> None:
        """Decide on what was sent and not answered: reads are sent again, for the rest nobody knows."""
        lost = [(request_id, request) for request_id, request in self._open.items() if request.sent]
        for request_id, request in reversed(lost):
            if request.repeatable:
                request.sent = False
                self._outbox.appendleft((request_id, request.line))
            else:
                del self._open[request_id]
                await self._lines.write(_error(request_id, Interrupted()))
        self._look()

    async def _refuse_all(self, error: BudflowError) -> None:
        if self._initialize is not None and _parsed(self._initialize).get("id") in self._open:
            self._initialize = None  # It never took place, so there is nothing to repeat.
        for request_id in list(self._open):
            del self._open[request_id]
            await self._lines.write(_error(request_id, error))
        self._outbox.clear()
        self._look()

    def _look(self) -> None:
        for event, holds in (
            (self._sendable, bool(self._outbox) and not self._held),
            (self._drained, not any(request.sent for request in self._open.values())),
            (self._settled, not self._open and not self._outbox),
            (self._parted, self._backend is None),
            (self._released, not self._held),
        ):
            if holds:
                event.set()
            else:
                event.clear()


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        message = orjson.loads(line)
    except orjson.JSONDecodeError:
        return {}  # The backend says what is wrong with it.
    return message if isinstance(message, dict) else {}


def _repeatable(message: dict[str, Any]) -> bool:
    if message["method"] != "tools/call":
        return True
    return str(_params(message).get("name", "")).startswith(READING)


def _params(message: dict[str, Any]) -> dict[str, Any]:
    """Empty where they are no object; the backend says so."""
    params = message.get("params")
    return params if isinstance(params, dict) else {}


def _error(request_id: str | int, error: BudflowError) -> bytes:
    data = {"code": error.code, "hint": error.hint}
    said = f"{error.message} {error.hint}".strip()
    return orjson.dumps(
        {"jsonrpc": "2.0", "id": request_id, "error": {"code": INTERNAL_ERROR, "message": said, "data": data}}
    )
