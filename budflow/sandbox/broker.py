"""The broker: has tasks done, each in a worker of its kind and project, with the network that it asked for."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from budflow.log import get_log
from budflow.model.failure import NodeError
from budflow.model.sandbox import SandboxUnavailable, SandboxWorkerLost
from budflow.sandbox.figures import Figures
from budflow.sandbox.image_desk import ImageDesk, waiting_for_image
from budflow.sandbox.images import Images
from budflow.sandbox.messages import Progress
from budflow.sandbox.pool import Pool, Want
from budflow.sandbox.runners import OnProgress, WorkerKind, WorkerRunner
from budflow.sandbox.shares import Shares
from budflow.sandbox.work import Asker, Ran, Work
from budflow.sandbox.worker_link import NotTaken

MEMORY_MB_MIN = 128
#: How many workers may refuse a task, or be gone when they get it, before the task has failed.
TAKERS_MAX = 4

log = get_log(__name__)


@dataclass(frozen=True, slots=True)
class TaskLimits:
    """What a task may ask for at most: more is cut down to it. So many may wait for an image, on request too."""

    memory_mb_max: int = 2_048
    preparing_max: int = 1_000


@dataclass(slots=True)
class Broker:
    """Has tasks done."""

    runner: WorkerRunner
    pool: Pool
    figures: Figures
    limits: TaskLimits = field(default_factory=TaskLimits)
    clock: Callable[[], float] = time.monotonic
    _preparing: Shares = field(init=False)
    _images: Images = field(init=False)
    desk: ImageDesk = field(init=False)

    def __post_init__(self) -> None:
        self._images = Images(self.runner)
        self._preparing = Shares(self.limits.preparing_max)
        self.desk = ImageDesk(self.runner, self._images, self.pool, self._preparing)

    async def run(self, work: Work, asker: Asker) -> Ran:
        """Have it done. Raises SandboxBusy, SandboxUnavailable, RequirementsFailed, and what the code ends with."""
        began = self.clock()
        try:
            ran = await self._run(work, asker, began)
        except NodeError as error:
            self.figures.failures[error.code] += 1
            log.info("sandbox.task_failed", task=work.name, project=work.project, code=error.code)
            raise
        self.figures.tasks_done += 1
        return ran

    async def _run(self, work: Work, asker: Asker, began: float) -> Ran:
        work = replace(work, memory_mb=min(work.memory_mb, self.limits.memory_mb_max))
        image = await self._prepared(work, asker)
        want = Want(self._kind(work, image), work.project, base=not work.requirements and not work.image)
        try:
            for _ in range(TAKERS_MAX):
                worker = await self.pool.acquire(want)
                try:
                    at = self.clock()
                    await worker.run(work, asker)
                    return Ran(worker.isolation, worker.kind.image, worker.id, at - began, self.clock() - at)
                except NotTaken:
                    continue
                finally:
                    self.pool.release(worker)
        except SandboxUnavailable:
            self._images.forget(image)
            raise
        raise SandboxWorkerLost("No sandbox worker took the code.")

    async def _prepared(self, work: Work, asker: Asker) -> str:
        with waiting_for_image(self._preparing, work.project):
            async with _Telling(asker, work.id) as tell:
                return await self._image(work, tell)

    async def _image(self, work: Work, tell: OnProgress) -> str:
        if not work.image:
            return await self._images.image(work.requirements, tell)
        await self._images.require(work.image)
        return work.image

    def _kind(self, work: Work, image: str) -> WorkerKind:
        memory_mb = MEMORY_MB_MIN
        while memory_mb < work.memory_mb:
            memory_mb *= 2
        return WorkerKind(image, min(memory_mb, self.limits.memory_mb_max), bool(work.network))

    async def describe(self) -> Mapping[str, Any]:
        """For the status."""
        try:
            runner = dict(await self.runner.describe())
        except NodeError as error:
            runner = {"error": error.message}
        return {"isolation": self.runner.isolation, "runner": runner, **self.pool.describe(), **self.figures.to_json()}

    async def close(self) -> None:
        """End all workers."""
        try:
            await self.pool.close()
        finally:
            await self.runner.close()


class _Telling:
    """Passes on what a runner does while it prepares an image: it calls a plain function, the asker is awaited."""

    def __init__(self, asker: Asker, task_id: str) -> None:
        self._asker, self._task_id = asker, task_id
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Callable[[str], None]:
        return self._tell

    async def __aexit__(self, *_exc: object) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _tell(self, line: str) -> None:
        telling = self._asker.progress(Progress(task_id=self._task_id, message=line[:200]))
        task = asyncio.ensure_future(telling)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
