"""The pool of workers: who gets which, when one is started or ended, and how many are kept warm.

A worker belongs to one project from its first task on and is never given to another. Its decisions are synchronous:
`_deal` runs to its end whenever something changed, so nothing happens between looking and deciding.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

from budflow.log import get_log
from budflow.model.failure import NodeError
from budflow.model.sandbox import SandboxBusy, SandboxUnavailable
from budflow.sandbox.fair_queue import FairQueue
from budflow.sandbox.figures import Figures
from budflow.sandbox.pooled_worker import PooledWorker
from budflow.sandbox.runners import WorkerKind
from budflow.sandbox.shares import PlacesTaken, busy

#: One that waited this long may take the place of a worker whose project has more of them.
PATIENCE_SECONDS = 1.0
COOLING_SECONDS = 30.0
STOPPED = "The sandbox is being stopped."
STOPPED_HINT = "Give the node a retry: another sandbox may come."

log = get_log(__name__)


class Starter(Protocol):
    """What starts workers."""

    async def start(self, kind: WorkerKind) -> PooledWorker:
        """One that said hello. Raises SandboxUnavailable."""
        ...


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """How many workers and tasks there may be; `warm` of each kind in use wait for a project."""

    workers_max: int = 8
    warm: int = 1
    tasks_a_worker: int = 50
    queued_max: int = 1_000
    idle_seconds: float = 300.0


@dataclass(frozen=True, slots=True)
class Want:
    """A worker of this kind, for this project. `base`: the packages of the base image will do."""

    kind: WorkerKind
    project: str
    base: bool = True

    def fits(self, worker: PooledWorker) -> bool:
        """Whether this worker will do."""
        if worker.project not in (None, self.project):
            return False
        if worker.isolation != "external":
            return worker.kind == self.kind
        image = worker.kind.image == self.kind.image or (self.base and not worker.kind.image)
        return image and not self.kind.egress and worker.kind.memory_mb >= self.kind.memory_mb


@dataclass(eq=False, slots=True)
class _Waiting:
    want: Want
    since: float
    worker: "asyncio.Future[PooledWorker]"


class Pool:
    """Workers of one daemon. Without a starter there are only those that join."""

    def __init__(
        self,
        starter: Starter | None,
        limits: PoolLimits,
        figures: Figures,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._starter, self._limits, self._figures, self._clock = starter, limits, figures, clock
        self._queue: FairQueue[_Waiting] = FairQueue(limits.queued_max)
        self._workers: set[PooledWorker] = set()
        self._starting: Counter[WorkerKind] = Counter()
        self._used: dict[WorkerKind, float] = {}
        self._cooling: dict[WorkerKind, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._starts: set[asyncio.Task[None]] = set()
        self._closing = False

    async def acquire(self, want: Want) -> PooledWorker:
        """A worker of the project's own; give it back by `release`. Raises SandboxBusy, SandboxUnavailable."""
        if self._closing:
            raise SandboxBusy(STOPPED, hint=STOPPED_HINT)
        waiting = _Waiting(want, self._clock(), asyncio.get_running_loop().create_future())
        try:
            self._queue.add(want.project, (want.kind, want.base), waiting)
        except PlacesTaken as taken:
            raise busy(taken, "a worker") from taken
        self._used[want.kind] = self._clock()
        self._deal()
        try:
            return await waiting.worker
        except asyncio.CancelledError:
            if waiting.worker.done() and not waiting.worker.cancelled() and waiting.worker.exception() is None:
                self.release(waiting.worker.result())  # It was given just now.
            self._forget(waiting)
            raise

    def release(self, worker: PooledWorker) -> None:
        """The task is over. The worker has another one of its project, or ends where it may not."""
        if worker.state != "busy":
            return
        worker.state, worker.idle_since = "idle", self._clock()
        if worker.link.spoiled is not None:
            self._end(worker, "spoiled")
        elif worker.tasks_done >= self._limits.tasks_a_worker:
            self._end(worker, "used up")
        self._deal()

    def join(self, worker: PooledWorker) -> None:
        """Take in a worker that was started, or that came from outside."""
        worker.idle_since = self._clock()
        self._workers.add(worker)
        worker.watch(self._gone)
        self._deal()

    def sweep(self) -> None:
        """End those that were idle for too long; their kinds are no longer kept warm."""
        now = self._clock()
        self._used = {kind: at for kind, at in self._used.items() if now - at < self._limits.idle_seconds}
        self._cooling = {kind: until for kind, until in self._cooling.items() if until > now}
        for worker in [one for one in self._workers if one.state == "idle" and one.started is not None]:
            unused = worker.project is None and worker.kind in self._used
            if now - worker.idle_since >= self._limits.idle_seconds and not unused:
                self._end(worker, "idle")

    async def end_idle(self, image: str) -> None:
        """End the workers of an image that do nothing, and keep none of it warm; returns when they have ended."""
        self._used = {kind: at for kind, at in self._used.items() if kind.image != image}
        ours = [one for one in self._workers if one.kind.image == image and one.started is not None]
        for worker in [one for one in ours if one.state == "idle"]:
            self._end(worker, "image removed")
        while any(one.state == "ending" and one in self._workers for one in ours):
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)

    async def close(self) -> None:
        """End every worker, and refuse whoever waits."""
        self._closing = True
        for waiting in self._queue.everyone():
            self._refuse(waiting, SandboxBusy(STOPPED, hint=STOPPED_HINT))
        for worker in list(self._workers):
            self._end(worker, "closed")
        for start in self._starts:
            start.cancel()
        while self._tasks:
            await asyncio.wait(self._tasks)

    def stop_taking(self) -> None:
        """Refuse new tasks; those that wait or run go on."""
        self._closing = True

    def describe(self) -> dict[str, Any]:
        """For the status: the workers, and how many wait."""
        counted: Counter[tuple[WorkerKind, str | None, str, str | None]] = Counter(
            (one.kind, one.project, one.state, one.isolation) for one in self._workers
        )
        counted.update({(kind, None, "starting", None): n for kind, n in self._starting.items() if n})
        return {
            "workers_max": self._limits.workers_max,
            "queued": len(self._queue),
            "workers": [
                {
                    "image": kind.image,
                    "memory_mb": kind.memory_mb,
                    "egress": kind.egress,
                    "project": project,
                    "state": state,
                    "isolation": isolation,
                    "count": count,
                }
                for (kind, project, state, isolation), count in counted.items()
            ],
        }

    # --- decisions ---

    def _deal(self) -> None:
        """Give idle workers to who waits, then start or end workers for those who still wait."""
        while self._give_one():
            pass
        self._start_missing()
        if not self._queue and not self._closing:
            self._keep_warm()

    def _give_one(self) -> bool:
        idle = [worker for worker in self._workers if worker.state == "idle"]
        for waiting in self._queue.heads() if idle else ():
            if waiting.worker.done():  # It was cancelled, and has not come to say so.
                self._forget(waiting)
                return True
            fitting = [worker for worker in idle if waiting.want.fits(worker)]
            if not fitting:
                continue
            # One of the project's own first, and of those the one that was used last.
            worker = max(fitting, key=lambda one: (one.project is not None, one.idle_since))
            if self._shall_yield(worker, waiting):
                self._end(worker, "yields")
                return True
            worker.project, worker.state = waiting.want.project, "busy"
            self._queue.remove(waiting.want.project, (waiting.want.kind, waiting.want.base), waiting)
            self._queue.served(waiting.want.project)
            waiting.worker.set_result(worker)
            return True
        return False

    def _shall_yield(self, worker: PooledWorker, waiting: _Waiting) -> bool:
        """Whether the worker ends for another project that waits too long and has fewer of them."""
        if worker.project is None or worker.started is None or self._room() > 0:
            return False
        if any(one.state == "ending" for one in self._workers):
            return False  # There will be room.
        have = Counter(one.project for one in self._workers)
        until = self._clock() - PATIENCE_SECONDS
        return any(
            head.since <= until and have[head.want.project] < have[worker.project]
            for head in self._queue.heads()
            if head.want.project != waiting.want.project
        )

    def _start_missing(self) -> None:
        """Start what is missing for those who wait, in their turn; end idle ones where there is no room."""
        coming = self._starting.copy()
        ending = sum(1 for worker in self._workers if worker.state == "ending" and worker.started is not None)
        for waiting in self._queue.in_turn(self._limits.workers_max if self._starter else len(self._queue)):
            kind = waiting.want.kind
            if coming[kind] > 0:
                coming[kind] -= 1
            elif self._starter is None:
                if not any(waiting.want.fits(worker) for worker in self._workers):
                    hint = "Start one with a ticket of `budflow sandbox ticket`."
                    self._refuse(waiting, SandboxUnavailable("No external worker is there for this code.", hint=hint))
            elif self._room() > 0:
                self._spawn(kind)
            elif ending > 0:
                ending -= 1  # It gets the place of that one.
            elif (victim := self._least_recently_used()) is not None:
                self._end(victim, "evicted")
            else:
                return

    def _keep_warm(self) -> None:
        now = self._clock()
        for kind in sorted(self._used, key=self._used.__getitem__, reverse=True):
            warm = sum(1 for one in self._workers if one.kind == kind and one.project is None and one.state == "idle")
            missing = self._limits.warm - warm - self._starting[kind]
            if self._starter is None or self._cooling.get(kind, now) > now:
                continue
            for _ in range(min(missing, self._room())):
                self._spawn(kind)

    def _least_recently_used(self) -> PooledWorker | None:
        idle = [worker for worker in self._workers if worker.state == "idle" and worker.started is not None]
        return min(idle, key=lambda worker: worker.idle_since, default=None)

    def _room(self) -> int:
        ours = sum(1 for worker in self._workers if worker.started is not None)
        return self._limits.workers_max - ours - self._starting.total()

    # --- what takes time ---

    def _spawn(self, kind: WorkerKind) -> None:
        self._starting[kind] += 1
        task = self._go(self._start(kind))
        self._starts.add(task)
        task.add_done_callback(self._starts.discard)

    async def _start(self, kind: WorkerKind) -> None:
        assert self._starter is not None  # noqa: S101 - `_spawn` is only called with one
        began = self._clock()
        try:
            worker = await self._starter.start(kind)
        except NodeError as error:
            self._starting[kind] -= 1
            self._start_failed(kind, error)
            return
        except Exception as error:  # Whatever a runner raises, who waits for the worker gets an answer.
            log.exception("sandbox.start_broke")
            self._starting[kind] -= 1
            self._start_failed(kind, SandboxUnavailable(f"A sandbox worker could not be started: {error}."))
            return
        self._starting[kind] -= 1
        self._cooling.pop(kind, None)
        self._figures.started(self._clock() - began)
        log.info("sandbox.worker_started", worker=worker.id, image=kind.image, isolation=worker.isolation)
        self.join(worker)
        if self._closing and not self._queue:
            self._end(worker, "closed")

    def _start_failed(self, kind: WorkerKind, error: NodeError) -> None:
        """Tell the one who waits longest, unless enough others are being started."""
        log.error("sandbox.start_failed", code=error.code, message=error.message)
        self._figures.starts_failed += 1
        self._cooling[kind] = self._clock() + COOLING_SECONDS
        waiting = [one for one in self._queue.in_turn(len(self._queue)) if one.want.kind == kind]
        if len(waiting) > self._starting[kind]:
            self._refuse(waiting[0], error)
        self._deal()

    def _end(self, worker: PooledWorker, why: str) -> None:
        if worker.state == "ending":
            return
        worker.state = "ending"
        self._figures.ends[why] += 1
        self._go(self._end_now(worker, why))

    async def _end_now(self, worker: PooledWorker, why: str) -> None:
        log.info("sandbox.worker_ends", worker=worker.id, why=why, spoiled=worker.link.spoiled, tasks=worker.tasks_done)
        try:
            await worker.end()
        finally:
            self._workers.discard(worker)
            self._deal()

    def _gone(self, worker: PooledWorker) -> None:
        if worker.state == "idle":
            self._end(worker, "gone")
            self._deal()

    def _refuse(self, waiting: _Waiting, error: NodeError) -> None:
        self._forget(waiting)
        if not waiting.worker.done():
            waiting.worker.set_exception(error)

    def _forget(self, waiting: _Waiting) -> None:
        self._queue.remove(waiting.want.project, (waiting.want.kind, waiting.want.base), waiting)

    def _go(self, coroutine: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
