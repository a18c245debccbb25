"""Group commit in PostgreSQL: while one transaction is being committed, the writes that arrive form the next one."""

import asyncio
import time
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncEngine

from budflow.execution.figures import StoreFigures
from budflow.storage.payload import Pack, packer
from budflow.storage.postgres.failures import FAILURES, error_of, is_repeatable
from budflow.storage.postgres.journal import insertion_of, write_group
from budflow.storage.postgres.pool import at_once
from budflow.storage.writes import Write, ids_of, limits_of, payloads_of, slots_of, trigger_keys_of

COMMITTERS = 2  # One prepares a group while another waits for its commit; more would only make the groups smaller.
GROUP_MAX = 512
LARGE_BYTES = 256 * 1024


class _Waiting(NamedTuple):
    write: Write
    subjects: frozenset[object]
    future: asyncio.Future[None]


class Committer:
    """Takes journal writes of one event loop; those of one execution are committed in the order of their arrival."""

    def __init__(self, engine: AsyncEngine, figures: StoreFigures | None = None) -> None:
        self._engine, self._at_once, self._figures = engine, at_once(engine), figures or StoreFigures()
        self._waiting: list[_Waiting] = []
        self._in_flight: set[object] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def submit(self, write: Write) -> None:
        """Return when the write is durable. A caller that is cancelled does not undo it."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(write, _subjects_of(write), future))
        if len(self._tasks) < COMMITTERS:
            task = asyncio.create_task(self._run(), name="budflow-postgres-committer")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        await future

    async def close(self) -> None:
        """Wait for what was submitted."""
        while self._tasks:
            await asyncio.gather(*self._tasks)

    async def _run(self) -> None:
        pack = packer()
        while group := self._take():
            outcomes = await self._commit([waiting.write for waiting in group], pack)
            for waiting, error in zip(group, outcomes, strict=True):
                self._in_flight -= waiting.subjects
                if waiting.future.done():  # The caller was cancelled; the write stands all the same.
                    continue
                if error is None:
                    waiting.future.set_result(None)
                else:
                    waiting.future.set_exception(error)

    def _take(self) -> list[_Waiting]:
        group: list[_Waiting] = []
        rest: list[_Waiting] = []
        blocked = set(self._in_flight)
        for waiting in self._waiting:
            if len(group) < GROUP_MAX and blocked.isdisjoint(waiting.subjects):
                group.append(waiting)
            else:
                rest.append(waiting)
                blocked |= waiting.subjects
        self._waiting = rest
        self._in_flight.update(*(waiting.subjects for waiting in group))
        return group

    async def _commit(
        self, writes: Sequence[Write], pack: Pack, *, first: bool = True
    ) -> Sequence[BaseException | None]:
        began = time.monotonic()
        try:
            outcomes = await self._write(writes, await _packed_ahead(writes, pack))
            self._figures.note_commit(len(writes), time.monotonic() - began)
            return outcomes
        except FAILURES as failure:
            if not is_repeatable(failure) or (len(writes) == 1 and not first):
                return [error_of(failure) for _ in writes]
            if len(writes) == 1:
                # A rival came in between; the second look finds what it wrote, and says so better than the database.
                return await self._commit(writes, pack, first=False)
        except Exception as defect:  # noqa: BLE001 - the worker's loop: a defect must reach its caller, not end it
            if len(writes) == 1:
                return [defect]
        # One of them spoiled the transaction: halving finds it in few commits, and it fails alone.
        middle = len(writes) // 2
        return [*await self._commit(writes[:middle], pack), *await self._commit(writes[middle:], pack)]

    async def _write(self, writes: Sequence[Write], pack: Pack) -> Sequence[BaseException | None]:
        insertion = insertion_of(writes, pack)
        if insertion is not None:
            async with self._at_once.connect() as conn:
                await conn.exec_driver_sql(*insertion)
            return [None] * len(writes)
        async with self._engine.begin() as conn:
            return await conn.run_sync(write_group, writes, pack)


def _subjects_of(write: Write) -> frozenset[object]:
    """What no other group may decide about at the same time: executions, idempotency keys, slots, limits."""
    limits = (("limit", limit.key) for limit in limits_of([write]))
    return frozenset([*ids_of([write]), *trigger_keys_of([write]), *slots_of([write]), *limits])


async def _packed_ahead(writes: Sequence[Write], pack: Pack) -> Pack:
    """`pack`, with large payloads packed on a thread beforehand: a megabyte holds the loop up for milliseconds."""
    large = [payload for write in writes for payload in payloads_of(write) if len(payload) > LARGE_BYTES]
    if not large:
        return pack
    packed = dict(
        zip(map(id, large), await asyncio.to_thread(lambda: [pack(payload) for payload in large]), strict=True)
    )
    return lambda payload: packed.get(id(payload)) or pack(payload)
