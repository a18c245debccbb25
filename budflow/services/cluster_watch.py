"""How an installation is doing, kept for a moment: however many ask at once, the database is asked once."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from statistics import median
from typing import Any, Generic, TypeVar

from budflow.errors import BudflowError
from budflow.execution.blobs import BlobUnreadable
from budflow.model.identity import utc_now
from budflow.services.cluster_ports import ClusterStore, Passed, QueueFigures
from budflow.services.retention import BlobFiles

#: Over which time the throughput is counted.
MINUTE_SECONDS = 60.0
QUEUE_SECONDS = 0.5
PASSED_SECONDS = 2.0
BLOBS_SECONDS = 10.0
#: A blob store that needs longer is told to be silent.
BLOBS_WAIT_SECONDS = 5.0
LATENCY_SECONDS = 0.5
#: What took long to read is kept for so many times that long: looking costs a tenth of one connection at most.
KEPT_TIMES = 10
#: Of so many of the latest latencies the median is told.
SAMPLES_MAX = 60

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Latency:
    """How long an answer took lately, in milliseconds."""

    last_ms: float
    median_ms: float
    samples: int


class Kept(Generic[T]):
    """What one read gave, for `seconds` at least; those who ask while it is being read wait for the same one."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._reading: asyncio.Task[T] | None = None
        self._began_at = self._old_at = 0.0

    async def get(self, read: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The kept answer, or a new one. Raises what `read` raises; a failure is not kept."""
        task = self._reading
        if task is None or (task.done() and (time.monotonic() >= self._old_at or _failed(task))):
            self._began_at = time.monotonic()
            task = self._reading = asyncio.get_running_loop().create_task(read())
            task.add_done_callback(self._note)
        return await asyncio.shield(task)

    def _note(self, task: asyncio.Task[T]) -> None:
        now = time.monotonic()
        self._old_at = now + max(self._seconds, KEPT_TIMES * (now - self._began_at) if self._seconds else 0.0)
        _failed(task)  # Whoever asked may have gone.


class Latencies:
    """The latest latencies of something that can be pinged."""

    def __init__(self) -> None:
        self._samples: deque[float] = deque(maxlen=SAMPLES_MAX)
        self._kept: Kept[Latency] = Kept(LATENCY_SECONDS)

    async def take(self, ping: Callable[[], Awaitable[None]]) -> Latency:
        """Ping once more, unless that was just done. Raises what `ping` raises."""

        async def measure() -> Latency:
            began = time.perf_counter()
            await ping()
            self._samples.append((time.perf_counter() - began) * 1000)
            return Latency(round(self._samples[-1], 3), round(median(self._samples), 3), len(self._samples))

        return await self._kept.get(measure)


class ClusterWatch:
    """What the doors of one server ask of the store about all of them."""

    def __init__(self) -> None:
        self._queue: Kept[QueueFigures] = Kept(QUEUE_SECONDS)
        self._passed: Kept[Passed] = Kept(PASSED_SECONDS)
        self._blobs: Kept[BudflowError | None] = Kept(BLOBS_SECONDS)
        self.database, self.redis = Latencies(), Latencies()

    async def queue(self, store: ClusterStore) -> QueueFigures:
        """What has not ended."""
        return await self._queue.get(store.queue_figures)

    async def blobs(self, files: BlobFiles) -> BudflowError | None:
        """Why the blobs cannot be reached; None where they can."""

        async def look() -> BudflowError | None:
            try:
                await asyncio.wait_for(asyncio.to_thread(files.check), BLOBS_WAIT_SECONDS)
            except BudflowError as error:
                return error
            except TimeoutError:
                return BlobUnreadable(f"Blobs cannot be read in {files.place}: it does not answer in time.")
            return None

        return await self._blobs.get(look)

    async def passed(self, store: ClusterStore) -> Passed:
        """What came in and what ended in the last MINUTE_SECONDS."""

        async def read() -> Passed:
            return await store.count_passed(utc_now() - timedelta(seconds=MINUTE_SECONDS))

        return await self._passed.get(read)


def _failed(task: "asyncio.Task[Any]") -> bool:
    return task.cancelled() or task.exception() is not None
