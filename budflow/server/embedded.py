"""`budflow mcp` as the owner of the data directory: executions run here, and the CLI finds the API on the socket."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from budflow.app import Runtime, open_runtime
from budflow.log import get_log
from budflow.server.hand_over import ASGIApp, with_hand_over
from budflow.server.sockets import AddressRefused, listen_unix
from budflow.services.use_case import Services
from budflow.settings import Settings
from budflow.storage.owner import OwnerLock

#: The client's first request goes first: the web framework takes a quarter of a second to import.
SOCKET_DELAY_SECONDS = 0.5
MCP_DRAIN_SECONDS = 5.0

log = get_log(__name__)


class EmbeddedOwner:
    """A data directory that this process owns for its client on stdio."""

    def __init__(self, runtime: Runtime, lock: OwnerLock) -> None:
        """Use `open_embedded_owner`."""
        self._runtime, self._lock = runtime, lock

    @property
    def services(self) -> Services:
        """What the MCP tools work with."""
        return self._runtime.services

    async def serve_socket_until(self, over: asyncio.Event) -> bool:
        """Serve the API on the Unix socket until `over`; or until another process wants the data directory: then True.

        Where no socket can be made, the client on stdio is served all the same.
        """
        asked = asyncio.Event()
        await _either(over, seconds=SOCKET_DELAY_SECONDS)
        if over.is_set():
            return False
        try:
            with listen_unix(self._runtime.settings.data_dir) as (listener, path):
                from budflow.server.doors import api_and_mcp  # noqa: PLC0415 - FastAPI, after the first answer
                from budflow.server.listener import listening  # noqa: PLC0415 - uvicorn, after the first answer

                app, door = api_and_mcp(self._runtime)
                guarded: ASGIApp = with_hand_over(app, self._runtime.keys, asked)
                async with listening(guarded, [listener], self._runtime):
                    self._lock.announce(socket=str(path))
                    await _either(over, asked)
                    await door.drain(min(MCP_DRAIN_SECONDS, self._runtime.begin_drain()))
        except AddressRefused as error:
            log.warning("mcp.no_socket", code=error.code, message=error.message, hint=error.hint)
            await over.wait()
        return asked.is_set()


@contextlib.asynccontextmanager
async def open_embedded_owner(settings: Settings, lock: OwnerLock) -> AsyncIterator[EmbeddedOwner]:
    """Open what runs executions; at the end it is drained and closed, and `lock` is released."""
    async with open_runtime(settings, "mcp", lock) as runtime:
        yield EmbeddedOwner(runtime, lock)


async def _either(*events: asyncio.Event, seconds: float | None = None) -> None:
    """Return when one of the events is set, or the time is over."""
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waiting:
            one.cancel()
