"""uvicorn over sockets that are already bound: when it starts, what it serves and how it ends."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager

import uvicorn

from budflow.app import Runtime
from budflow.server.bounded_http import BoundedHttp
from budflow.server.hand_over import ASGIApp

#: When nothing runs any more, this long for the last bytes; who then still listens to a stream is cut off.
GRACE_SECONDS = 1.0
KEEP_ALIVE_SECONDS = 75
POLL_SECONDS = 0.05


class _Server(uvicorn.Server):
    """uvicorn that leaves the signals to us and says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def listening(app: ASGIApp, sockets: Sequence[socket.socket], runtime: Runtime) -> AsyncIterator[None]:
    """Serve `app` while the block runs. At its end: no new connections, then until the drain is over for what runs."""
    server = _Server(
        uvicorn.Config(
            app,
            http=BoundedHttp,
            ws="websockets-sansio",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )
    )
    serving = asyncio.create_task(server.serve(sockets=list(sockets)))
    started = asyncio.create_task(server.listening.wait())
    try:
        await asyncio.wait([serving, started], return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            await serving  # Raises what kept it from starting.
        yield
    finally:
        started.cancel()
        server.should_exit = True
        await _until_idle(serving, runtime)
        server.force_exit = True
        await serving


async def _until_idle(serving: "asyncio.Task[None]", runtime: Runtime) -> None:
    """Return when every connection is closed, or nothing runs any more and had its grace, or the drain is over."""
    loop = asyncio.get_running_loop()
    idle_since: float | None = None
    while not serving.done() and runtime.begin_drain() > 0:
        if runtime.services.supervisor.status()["running"]:
            idle_since = None
        else:
            idle_since = idle_since or loop.time()
            if loop.time() - idle_since >= GRACE_SECONDS:
                return
        await asyncio.sleep(POLL_SECONDS)
