"""What is attacked: the real broker with real workers of one way of isolation, and what an attempt came to."""

import asyncio
import itertools
import secrets
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from budflow.model.failure import NodeError
from budflow.model.item import Json
from budflow.sandbox.access import Tickets
from budflow.sandbox.broker import Broker
from budflow.sandbox.figures import Figures
from budflow.sandbox.messages import Log, Progress
from budflow.sandbox.pool import Pool, PoolLimits
from budflow.sandbox.runners import WorkerRunner
from budflow.sandbox.start_worker import WorkerStarter
from budflow.sandbox.work import Work

PROJECT = "attacker"
NOW = "2026-11-22T10:00:00+00:00"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the code gave back, or the error that it ended with, and how long that took."""

    items: Sequence[Json]
    error: NodeError | None
    seconds: float
    worker: str | None
    logged: Sequence[str] = ()

    @property
    def value(self) -> Json:
        """Its only item."""
        [item] = self.items
        return item

    @property
    def code(self) -> str | None:
        return None if self.error is None else self.error.code


@dataclass(slots=True)
class Collected:
    """Meets Asker: an author without input, who keeps what comes."""

    items_: list[Json] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    async def items(self, start: int, stop: int) -> Sequence[Json]:
        raise AssertionError("There are no items to ask for.")

    async def log(self, line: Log) -> None:
        self.lines.append(line.message)

    async def progress(self, progress: Progress) -> None:
        pass

    async def part(self, items: Sequence[Json], failed: Sequence[Json]) -> None:
        self.items_.extend(item["json"] for item in items)


class Target:
    """A broker that runs whatever code it is given."""

    def __init__(self, broker: Broker, directory: Path) -> None:
        self.broker = broker
        self.directory = directory
        self._numbers = itertools.count(1)

    async def run(
        self, code: str, *, project: str = PROJECT, seconds: float = 5.0, memory_mb: int = 128, **given: Any
    ) -> Outcome:
        """Run code as a code node of mode `all` does."""
        asker = Collected()
        work = Work(
            id=f"t{next(self._numbers)}",
            project=project,
            name="attack",
            mode="all",
            code=code,
            now=NOW,
            seed="seed",
            timeout_seconds=seconds,
            memory_mb=memory_mb,
            params=given,
        )
        began = time.monotonic()
        try:
            ran = await self.broker.run(work, asker)
        except NodeError as error:
            return Outcome(asker.items_, error, time.monotonic() - began, None, asker.lines)
        return Outcome(asker.items_, None, time.monotonic() - began, ran.worker, asker.lines)


@asynccontextmanager
async def attacked(runner: WorkerRunner, **limits: Any) -> AsyncIterator[Target]:
    """A broker over this runner, with a directory of its own; at the end nothing of it is left."""
    directory = Path(tempfile.mkdtemp(prefix="budflow-"))
    figures = Figures()
    starter = WorkerStarter(runner, directory, Tickets(secrets.token_bytes(32)))
    pool = Pool(starter, PoolLimits(**{"workers_max": 4, "warm": 1, **limits}), figures)
    broker = Broker(runner, pool, figures)
    try:
        yield Target(broker, directory)
    finally:
        await broker.close()
        await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)
