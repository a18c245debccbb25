"""The sandbox of a process, as its settings have it: a sandboxd of its own, one that runs already, or none."""

import hashlib
import os
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

from budflow.errors import BudflowError
from budflow.model.log import LogCapability
from budflow.model.sandbox import CodePart, CodeTask, SandboxCapability, SandboxUnavailable
from budflow.sandbox.client import SandboxClient
from budflow.sandbox.daemon_settings import SOCKET_FILE, DaemonSettings
from budflow.sandbox.doorbell import answer_bell
from budflow.sandbox.keeper import ExistingSandboxd, SandboxKeeper
from budflow.sandbox.places import SOCKET_PATH_MAX
from budflow.settings import Settings

#: Of the server's data directory, where its own sandboxd has its socket and its key.
DIRECTORY = "sandbox"


class Sandbox(Protocol):
    """What runs the code of every project of a server."""

    def of(self, project_id: str) -> SandboxCapability:
        """The sandbox of one project."""
        ...

    async def describe(self) -> Mapping[str, Any]:
        """For the status: `state` is `off`, `idle` (no code has run yet), `running` or `failed`. Starts nothing."""
        ...

    async def serve_others(self) -> None:
        """Until this is cancelled, start it for other processes of this machine that need it, as those of Ray do."""
        ...


def directory_of(settings: Settings) -> Path:
    """Where sandboxd has its socket: that at `sandbox_address`, or the server's own, at a path that is short enough."""
    if settings.sandbox_address is not None:
        return Path(settings.sandbox_address.removeprefix("unix:")).parent
    own = settings.data_dir.absolute() / DIRECTORY
    if len(os.fsencode(own / SOCKET_FILE)) <= SOCKET_PATH_MAX:
        return own
    # sandboxd refuses it where it belongs to another user.
    name = hashlib.sha256(os.fsencode(own)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"budflow-code-{os.getuid()}-{name}"


def daemon_settings(settings: Settings) -> DaemonSettings:
    """What the server's own sandboxd is told."""
    return DaemonSettings(
        directory=directory_of(settings),
        sandbox=settings.sandbox,
        docker_url=settings.sandbox_docker_url,
        runtime=settings.sandbox_runtime,
        image=settings.sandbox_image,
        index=settings.sandbox_index,
        index_hosts=settings.sandbox_index_hosts,
        cpus=settings.sandbox_cpus,
        workers_max=settings.sandbox_workers_max,
        workers_warm=min(settings.sandbox_workers_warm, settings.sandbox_workers_max),
        tasks_a_worker=settings.sandbox_tasks_a_worker,
        memory_mb_max=settings.sandbox_memory_mb_max,
        timeout_seconds_max=settings.sandbox_timeout_seconds_max,
        queued_max=settings.sandbox_queued_max,
        drain_seconds=settings.drain_seconds,
        http_allow=settings.http_allow,
        log_level=settings.log_level,
    )


@asynccontextmanager
async def open_sandbox(settings: Settings) -> AsyncIterator[Sandbox]:
    """Nothing is started before the first code runs; at the end what was started here ends."""
    if settings.sandbox == "off":
        yield SandboxOff()
        return
    address = settings.sandbox_address
    keeper = SandboxKeeper(daemon_settings(settings)) if address is None else ExistingSandboxd(address)
    client = SandboxClient(keeper)
    try:
        yield KeptSandbox(client, keeper, daemon_settings(settings).directory if address is None else None)
    finally:
        await client.close()
        await keeper.close()


class SandboxOff:
    """Meets Sandbox where the settings allow no code."""

    def of(self, project_id: str) -> SandboxCapability:
        """See Sandbox."""
        return _CodeOff()

    async def describe(self) -> Mapping[str, Any]:
        """See Sandbox."""
        return {"state": "off"}

    async def serve_others(self) -> None:
        """See Sandbox."""


class _CodeOff:
    """Meets SandboxCapability."""

    async def run(self, task: CodeTask, log: LogCapability) -> AsyncGenerator[CodePart, None]:
        """See SandboxCapability."""
        raise SandboxUnavailable(
            "This server's setting `sandbox` is `off`: no code runs.", hint="Have it set to `auto`."
        )
        yield  # Makes it a generator.


class KeptSandbox:
    """Meets Sandbox over a sandboxd. `directory` is that of one which is started here."""

    def __init__(
        self, client: SandboxClient, keeper: SandboxKeeper | ExistingSandboxd, directory: Path | None = None
    ) -> None:
        self._client, self._keeper, self._directory = client, keeper, directory

    def of(self, project_id: str) -> SandboxCapability:
        """See Sandbox."""
        return self._client.of(project_id)

    async def describe(self) -> Mapping[str, Any]:
        """See Sandbox."""
        if isinstance(self._keeper, SandboxKeeper) and self._keeper.pid is None:
            return {"state": "idle"}
        try:
            return {"state": "running", **await self._client.describe()}
        except BudflowError as error:
            return {"state": "failed", "problem": error.message, "hint": error.hint}

    async def serve_others(self) -> None:
        """See Sandbox."""
        if self._directory is not None:
            await answer_bell(self._directory, self._keeper)
