"""`budflow serve`: own the data directory, answer on TCP and on the Unix socket, drain and leave when told to."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from budflow.app import Runtime, open_runtime
from budflow.execution import interpreter
from budflow.log import get_log
from budflow.server.doors import api_and_mcp
from budflow.server.hand_over import take_ownership
from budflow.server.listener import listening
from budflow.server.ray_start import start_ray
from budflow.server.signals import Signals
from budflow.server.sockets import listen_tcp, listen_unix, refuse_exposed
from budflow.settings import Settings
from budflow.storage.blobs.open import require_shared_blobs
from mcp_server.http import McpDoor
from ray_jobs.open import check_settings

log = get_log(__name__)

#: Servers that share a database tell each other when they publish; so often each looks by itself.
WEBHOOKS_SECONDS = 2.0
MCP_DRAIN_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Served:
    """Where a server answers."""

    url: str
    socket: Path

    @property
    def docs(self) -> str:
        """The API's documentation, for people."""
        return f"{self.url}/api/v1/docs"


async def serve(settings: Settings, on_ready: Callable[[Served], None]) -> None:
    """Serve until SIGTERM or SIGINT; `on_ready` is told where, when the server answers.

    Raises ServerExposed, PortTaken, AddressRefused, DirectoryOwned, NeedsPostgresql, BlobsNotShared, and what opening
    the store raises.
    """
    refuse_exposed(settings.host)
    if settings.executor == "ray":
        check_settings(settings)
        require_shared_blobs(settings)
    with await take_ownership(settings.data_dir) as lock, listen_tcp(settings.host, settings.port) as (tcp, url):
        signals = Signals()
        interpreter.tune()
        async with open_runtime(settings, "serve", lock, address=url) as runtime:
            with listen_unix(settings.data_dir) as (unix, path):
                app, door = api_and_mcp(runtime)
                async with listening(app, [tcp, unix], runtime):
                    lock.announce(address=url, socket=str(path))
                    on_ready(Served(url, path))
                    await _until_told(signals, runtime, door)


async def _until_told(signals: Signals, runtime: Runtime, door: McpDoor) -> None:
    """Do what a running server does behind its answers, until a signal; then begin to drain."""
    behind = [asyncio.create_task(_warm(door))]
    if runtime.settings.executor == "ray":
        behind.append(asyncio.create_task(_start_ray(runtime, signals)))
        if runtime.settings.ray_address == "local":  # Else each node of the cluster has a sandboxd of its own.
            behind.append(asyncio.create_task(runtime.sandbox.serve_others()))
    if runtime.settings.database_url is not None:
        behind.append(asyncio.create_task(runtime.webhooks.follow(runtime.services.wakes, WEBHOOKS_SECONDS)))
    await signals.told.wait()
    log.info("server.stopping")
    await door.drain(min(MCP_DRAIN_SECONDS, runtime.begin_drain()))
    for task in behind:
        task.cancel()
    await asyncio.gather(*behind, return_exceptions=True)


async def _start_ray(runtime: Runtime, signals: Signals) -> None:
    await start_ray(runtime)
    signals.arm()  # Ray puts a handler of its own before ours, which prints the stack of the process.


async def _warm(door: McpDoor) -> None:
    """Import what MCP needs now that the server answers, so that its first caller need not wait."""
    await door.warm()
    interpreter.keep()
