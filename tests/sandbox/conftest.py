"""A sandboxd in this process, with the runner that a test gives it, and clients of it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from budflow.sandbox.client import SandboxClient
from budflow.sandbox.daemon import Daemon, Isolator, serving
from budflow.sandbox.daemon_settings import SOCKET_FILE, DaemonSettings
from budflow.sandbox.keeper import ExistingSandboxd
from budflow.sandbox.runners import WorkerRunner
from budflow.sandbox.way_out import Egress
from budflow.sandbox.worker_link import Patience


@dataclass
class Sandboxd:
    """One that serves, and a client of it."""

    daemon: Daemon
    client: SandboxClient
    directory: Path


OpenSandboxd = Callable[..., Awaitable[Sandboxd]]


@pytest.fixture
async def open_sandboxd(tmp_path: Path) -> AsyncIterator[OpenSandboxd]:
    """Serve with a runner; settings by their names."""
    async with AsyncExitStack() as stack:

        async def open_one(
            runner: WorkerRunner, *, egress: Egress | None = None, patience: Patience | None = None, **settings: Any
        ) -> Sandboxd:
            directory = tmp_path / "sandbox"
            given = DaemonSettings(**{"directory": directory, "workers_warm": 0, "drain_seconds": 0, **settings})

            async def isolate(_owner: str) -> Isolator:
                return Isolator(runner, egress)

            daemon = await stack.enter_async_context(serving(given, isolate, patience))
            client = SandboxClient(ExistingSandboxd(f"unix:{directory / SOCKET_FILE}"))
            stack.push_async_callback(client.close)
            return Sandboxd(daemon, client, directory)

        yield open_one
