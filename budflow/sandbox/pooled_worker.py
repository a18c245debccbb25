"""A worker of the pool: what was started, its link, the project that it belongs to and how much it has done."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from budflow.log import get_log
from budflow.model.sandbox import CodeOutOfMemory, Isolation, SandboxWorkerLost
from budflow.sandbox.runners import StartedWorker, WorkerKind
from budflow.sandbox.way_out import WayOut
from budflow.sandbox.work import Asker, Work
from budflow.sandbox.worker_link import WorkerLink

#: How long to wait for what a runner says of a worker's end, once its link has ended.
END_SECONDS = 3.0
KILL_SECONDS = 60.0

State = Literal["idle", "busy", "ending"]

log = get_log(__name__)


@dataclass(eq=False, slots=True)
class PooledWorker:
    """One worker. `project` is None until its first task; one without `started` is external."""

    id: str
    kind: WorkerKind
    isolation: Isolation
    link: WorkerLink
    clean: Callable[[], Awaitable[None]]
    started: StartedWorker | None = None
    way_out: WayOut | None = None
    project: str | None = None
    state: State = "idle"
    tasks_done: int = 0
    idle_since: float = 0.0
    _watching: "asyncio.Task[None] | None" = None

    def watch(self, gone: Callable[["PooledWorker"], None]) -> None:
        """Have `gone` told when the worker or its link has ended by itself."""
        self._watching = asyncio.create_task(self._watch(gone))

    async def run(self, work: Work, asker: Asker) -> None:
        """Have a task done. Raises NotTaken, and what the code ends with."""
        try:
            await self.link.run(work, asker, partial(self._open_way_out, work))
        except SandboxWorkerLost as error:
            if await self._ran_out_of_memory():
                raise CodeOutOfMemory(f"The code used more memory than its {work.memory_mb} MB.") from error
            raise
        finally:
            self.tasks_done += 1
            if self.way_out is not None:
                await self.way_out.allow((), self.id)

    async def end(self) -> None:
        """Kill it and remove what is left of it; never raises for what a runner cannot do."""
        if self._watching is not None:
            self._watching.cancel()
        if self.started is not None:
            try:
                async with asyncio.timeout(KILL_SECONDS):
                    await self.started.kill()
            except Exception:  # Whatever a runner raises, it must not keep a slot of the pool.
                log.exception("sandbox.worker_not_killed", worker=self.id)
        self.link.lose(None)
        if self.started is None:
            await self.link.hang_up()
        if self.way_out is not None:
            await self.way_out.close()
        await self.clean()

    async def _open_way_out(self, work: Work) -> None:
        if self.way_out is not None:
            await self.way_out.allow(work.network, work.name)

    async def _ran_out_of_memory(self) -> bool:
        if self.started is None or not self.link.hung_up:
            return False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_SECONDS):
                return (await self.started.wait()).reason == "out_of_memory"
        return False

    async def _watch(self, gone: Callable[["PooledWorker"], None]) -> None:
        waiting: list[asyncio.Task[Any]] = [asyncio.create_task(self.link.over.wait())]
        if self.started is not None:
            waiting.append(asyncio.ensure_future(self.started.wait()))
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waiting:
                one.cancel()
        if not self.link.over.is_set():
            self.link.hung_up = True  # Its end was seen before that of its socket.
        self.link.lose("It died.")
        gone(self)
