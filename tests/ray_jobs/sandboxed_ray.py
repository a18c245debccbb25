"""The session's local Ray, whose node has a sandbox, for tests that serve a sandboxd where that Ray looks for it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from budflow.sandbox.daemon import Daemon, Isolator, serving
from budflow.sandbox.daemon_settings import DaemonSettings
from budflow.sandbox.runners import WorkerRunner
from budflow.sandbox.way_out import Egress
from ray_jobs.open import TOKEN_NAME
from tests.ray_session import RaySession


@dataclass
class SandboxedRay:
    """What tests ask of it."""

    session: RaySession

    @property
    def directory(self) -> Path:
        """Where it looks for sandboxd."""
        return self.session.directory / "sandbox"

    @property
    def address(self) -> str:
        return self.session.opened.joined.address

    @property
    def dashboard(self) -> str:
        assert self.session.opened.dashboard_url is not None
        return self.session.opened.dashboard_url

    @property
    def token(self) -> str:
        """Its secret."""
        return (self.session.directory / TOKEN_NAME).read_text()

    @asynccontextmanager
    async def serving(
        self, runner: WorkerRunner, egress: Egress | None = None, **settings: Any
    ) -> AsyncIterator[Daemon]:
        """A sandboxd with this runner, in this process."""
        given = DaemonSettings(directory=self.directory, **{"workers_warm": 0, "drain_seconds": 0, **settings})

        async def isolate(_owner: str) -> Isolator:
            return Isolator(runner, egress)

        async with serving(given, isolate) as daemon:
            yield daemon

    def agent_log(self) -> str:
        """What the plugin and Ray said of runtime environments."""
        logs = self.session.directory.glob("ray/session_latest/logs/runtime_env*")
        return "".join(path.read_text() for path in sorted(logs))
