"""Ray behind a server that already answers: executions run in process until Ray is up, and if it never comes up."""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from budflow.app import Runtime
from budflow.errors import BudflowError
from budflow.execution.lists import ListStore
from budflow.execution.ports import Executor, Link, Running, Work
from budflow.log import get_log
from budflow.runner import Runner, open_runner
from budflow.settings import Settings
from budflow.storage.blobs.open import open_blobs
from ray_jobs.open import open_ray

log = get_log(__name__)


class StandIn:
    """The executor until Ray is up: another one, whose status also tells what became of Ray."""

    def __init__(self, inner: Executor) -> None:
        self._inner = inner
        self.name = inner.name
        self.ray: dict[str, Any] = {"state": "starting"}

    def start(self, work: Work, link: Link) -> Running:
        """See Executor."""
        return self._inner.start(work, link)

    def status(self) -> Mapping[str, Any]:
        """See Executor."""
        return {**self._inner.status(), "ray": self.ray}

    async def close(self) -> None:
        """See Executor."""
        await self._inner.close()


async def start_ray(runtime: Runtime) -> None:
    """Start Ray in a thread and let it execute from then on. A failure is logged and stands in the status."""
    supervisor = runtime.services.supervisor
    stand_in = StandIn(runtime.executor)
    supervisor.use(stand_in)
    opener = _opener(runtime.settings)
    opening = asyncio.ensure_future(asyncio.to_thread(open_ray, runtime.settings, supervisor.runner, opener))
    try:
        executor = await asyncio.shield(opening)
    except BudflowError as error:
        stand_in.ray = {"state": "failed", "code": error.code, "message": error.message, "hint": error.hint}
        log.warning("ray.start_failed", code=error.code, message=error.message, hint=error.hint)
        return
    except asyncio.CancelledError:
        # The thread cannot be stopped; what it opens must be closed, or its processes would outlive the server.
        executor = await opening
        await executor.close()
        raise
    supervisor.use(executor)
    log.info(
        "ray.started", **{name: value for name, value in executor.status().items() if name not in ("runners", "nodes")}
    )


def _opener(settings: Settings) -> Callable[..., Runner]:
    """What opens a runner in Ray's processes. Where they may be on other machines, blobs are in S3."""
    return partial(
        open_runner,
        file_roots=settings.file_roots,
        snapshot_events=settings.snapshot_events,
        lists=ListStore(open_blobs(settings.blob_url, settings.data_dir)),
    )
