"""The runner of a sandboxd that starts no worker itself: those that come from outside do all the work."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from budflow.model.sandbox import Isolation, SandboxUnavailable
from budflow.sandbox.runners import OnProgress, StartedWorker, WorkerKind


class ExternalOnly:
    """Meets WorkerRunner. The image of a worker is what its ticket names: the requirements, sorted, with commas."""

    isolation: Isolation = "external"

    async def prepare(self, requirements: Sequence[str], on_progress: OnProgress) -> str:
        """See WorkerRunner: nothing is built, a worker that has them must be there."""
        return ",".join(sorted(requirements))

    async def start(self, kind: WorkerKind, sockets: Path, environment: Mapping[str, str]) -> StartedWorker:
        """See WorkerRunner."""
        raise SandboxUnavailable("This sandbox starts no workers, it waits for external ones.")

    async def describe(self) -> Mapping[str, Any]:
        """See WorkerRunner."""
        return {"isolation": self.isolation}

    async def close(self) -> None:
        """See WorkerRunner: those from outside go with their links."""
