"""`budflow mcp`: a client on stdio, served by the owner of the data directory, or by this process where none lives.

Nothing heavy is imported until this process becomes the owner: as a client of another one it is a pipe.
"""

import asyncio
import contextlib
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from budflow.log import get_log
from budflow.settings import Settings
from budflow.storage.owner import DirectoryOwned, OwnerLock, owner_key, read_owner
from mcp_server.front import Backend, BackendGone, Front
from mcp_server.stdio import connect_socket, open_stdio

if TYPE_CHECKING:
    from budflow.services.use_case import Services

#: A server that was just started, or that took over, gets this long to answer.
PATIENCE_SECONDS = 15.0
#: When an owner goes, another may be about to come: `budflow serve` taking over, or being restarted.
SUCCESSION_SECONDS = 2.0
DRAIN_SECONDS = 5.0
POLL_SECONDS = 0.05

log = get_log(__name__)


async def serve_stdio(settings: Settings) -> None:
    """Serve the client on stdio until it leaves, or until SIGTERM or SIGINT. Raises what opening the store raises."""
    async with open_stdio() as lines:
        front = Front(lines)
        session = Session(settings, front)
        running = asyncio.create_task(front.run(session.connect))
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, running.cancel)
        try:
            await asyncio.wait([running])
        finally:
            await session.end()
        if not running.cancelled():
            running.result()


class Session:
    """Where the client's backend comes from, for as long as the client stays."""

    def __init__(self, settings: Settings, front: Front) -> None:
        self._settings, self._front = settings, front
        self._connected = False
        self._owning: asyncio.Task[None] | None = None
        self._services: Services | None = None
        self._over = asyncio.Event()

    async def connect(self) -> Backend:
        """The living owner's backend, or our own where there is none. Raises BackendGone and what opening raises."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        heir_at = began + (SUCCESSION_SECONDS if self._connected else 0.0)
        self._connected = True
        data_dir = self._settings.data_dir
        while True:
            if self._services is not None:
                return await _embedded(self._services)
            owner = await asyncio.to_thread(read_owner, data_dir)
            if owner is None and loop.time() >= heir_at:
                with contextlib.suppress(DirectoryOwned):  # Somebody was faster: go to them.
                    lock = await asyncio.to_thread(OwnerLock.acquire, data_dir, "mcp")
                    return await _embedded(await self._become_owner(lock))
            elif owner is not None and owner.socket is not None:
                try:
                    return await connect_socket(Path(owner.socket), owner_key(data_dir))
                except BackendGone:
                    if loop.time() - began > PATIENCE_SECONDS:
                        raise
            elif loop.time() - began > PATIENCE_SECONDS:
                raise BackendGone(f"The process that owns {data_dir} does not answer.")
            await asyncio.sleep(POLL_SECONDS)

    async def end(self) -> None:
        """The client has left: drain and let go of the data directory, where we own it."""
        self._over.set()
        if self._owning is not None:
            await self._owning

    async def _become_owner(self, lock: OwnerLock) -> "Services":
        opened: asyncio.Future[Services] = asyncio.get_running_loop().create_future()
        self._owning = asyncio.create_task(self._own(lock, opened), name="mcp-owner")
        waiting: list[asyncio.Future[Any]] = [opened, self._owning]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if not opened.done():
            await self._owning  # Raises what kept it from opening.
        self._services = opened.result()
        return self._services

    async def _own(self, lock: OwnerLock, opened: "asyncio.Future[Services]") -> None:
        """Own the data directory until the client leaves or `budflow serve` asks for it; then the front goes over."""
        # The store, the engine and the API: half a second that a mere client need not spend.
        from budflow.server.embedded import open_embedded_owner  # noqa: PLC0415 - see the line above

        async with contextlib.AsyncExitStack() as front_held, open_embedded_owner(self._settings, lock) as owner:
            opened.set_result(owner.services)
            asked = await owner.serve_socket_until(self._over)
            if asked:
                await front_held.enter_async_context(self._front.held(DRAIN_SECONDS))
                log.info("mcp.handing_over")
            self._services = None


async def _embedded(services: "Services") -> Backend:
    # The MCP SDK: a second that a mere client need not spend.
    from mcp_server.embedded import open_embedded  # noqa: PLC0415 - see the line above

    return await open_embedded(services)
