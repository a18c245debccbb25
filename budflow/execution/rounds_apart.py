"""Chunks of rounds that only compute, at work in other processes: handed out in order, and taken back in order."""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from budflow.errors import BudflowError
from budflow.execution.heavy import Heavy
from budflow.execution.node_log import ExecutionLog
from budflow.execution.ports import Work
from budflow.execution.produced import Produced
from budflow.execution.round_costs import MEASURED_MIN, BodyCost, RoundCosts
from budflow.execution.round_work import Round
from budflow.execution.rounds_segment import (
    CHUNK_BYTES_MAX,
    ENTRIES_BYTES_MAX,
    entry_bytes,
    pack_body,
    packing_of,
    unpack_rounds,
)
from budflow.execution.state import At, FrameId
from budflow.log import get_log
from budflow.model.failure import Failure
from budflow.model.item import EMPTY

#: So many chunks wait behind those that are computed, so that nobody who ends one waits for the next.
AHEAD = 2
#: After so many chunks of a body that did not come back, its rounds stay with the execution.
LOST_MAX = 3
#: A chunk that is not back after so long, and so many times what it should take, is lost: it may wait for a processor
#: that others keep, or its machine may be cut off.
PATIENCE_SECONDS = 15.0
PATIENCE_TIMES = 20
#: What packing and unpacking take together, in times of packing alone.
HANDLING_TIMES_PACKING = 3

log = get_log(__name__)

#: One run of a body: the number of its graph, and the rounds around its container.
Row = tuple[int, tuple[int, ...]]


@dataclass(slots=True)
class Chunk:
    """Rounds of one run of a body that follow each other. `rounds` is what came of them; None where that was lost.

    `open` are the frames that nobody has stopped meanwhile. It should take `seconds`; `given` is the result as bytes,
    `packing_seconds` what it took of a processor to pack it.
    """

    row: Row
    frames: list[FrameId]
    items: int
    open: set[FrameId]
    seconds: float
    given: bytes | None = None
    packing_seconds: float = 0.0
    rounds: list[Round] | None = None
    over: bool = False
    begun: bool = False
    task: "asyncio.Task[None] | None" = None


@dataclass(slots=True)
class _Body:
    """What is known of one run of a body. `packed` is None where it cannot be sent."""

    packed: bytes | None
    cost: BodyCost


@dataclass(slots=True)
class RoundsApart:
    """Of one execution. `spawn` begins a task, whose fault is one of the run; without `heavy` nothing goes anywhere."""

    work: Work
    produced: Produced
    heavy: Heavy | None
    costs: RoundCosts
    log: ExecutionLog
    spawn: Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]
    _bodies: dict[Row, _Body] = field(default_factory=dict)
    _lost: Counter[int] = field(default_factory=Counter)  # Chunks, by the number of the graph.
    _chunks: list[Chunk] = field(default_factory=list)  # In the order in which they were sent.
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def under_way(self) -> bool:
        """Whether any chunk was sent and not taken back."""
        return bool(self._chunks)

    @property
    def full(self) -> bool:
        """Whether no further chunk had better be sent now."""
        return self.heavy is None or len(self._chunks) >= self.heavy.width + AHEAD

    def has(self, row: Row) -> bool:
        """Whether rounds of this run of a body are away: those behind them must not be journaled first."""
        return any(chunk.row == row for chunk in self._chunks)

    def pays(self, row: Row, frames: deque[FrameId]) -> bool:
        """Whether these rounds, which are due, had better be computed elsewhere."""
        if self.heavy is None or not frames:
            return False
        body = self._bodies.get(row)
        cost = self.costs.of(self.work.plan, row[0]) if body is None else body.cost
        items = self._items(frames[0]) * len(frames)
        start_seconds = 0.0 if self.has(row) else self.heavy.start_seconds
        if not cost.pays_apart(items, start_seconds) or self._lost[row[0]] >= LOST_MAX:
            return False
        if self._bytes(frames[0]) > ENTRIES_BYTES_MAX:
            return False
        return body is None or body.packed is not None

    def send(self, row: Row, container: At, frames: deque[FrameId], now: datetime) -> bool:
        """Take the first rounds of these, which began at `now`, and send them off. False: they have to stay."""
        assert self.heavy is not None  # noqa: S101 - its caller asked whether it pays
        body = self._bodies.get(row)
        if body is None:
            body = self._bodies[row] = self._prepared(row, container)
        if body.packed is None:
            return False
        if not body.cost.handling_measured and sum(chunk.row == row for chunk in self._chunks) >= MEASURED_MIN:
            return False  # So many small ones find out what handling takes.
        each = self._items(frames[0])
        wanted = body.cost.chunk_items(each * len(frames), self.heavy.width)
        most = CHUNK_BYTES_MAX // max(1, self._bytes(frames[0]))
        size = max(1, min(round(wanted / each), most, len(frames)))
        taken = [frames.popleft()]
        while len(taken) < size and frames and self._goes_along(taken[-1], frames[0]):
            taken.append(frames.popleft())
        items = sum(map(self._items, taken))
        chunk = Chunk(row, taken, items, {*taken}, items * (body.cost.item_seconds or 0.0))
        self._chunks.append(chunk)
        pack = packing_of(body.packed, self.produced, container, taken, now)
        chunk.task = self.spawn(self._run(self.heavy, chunk, pack))
        return True

    def take_back(self) -> Chunk | None:
        """The next chunk that is over, none of whose run that was sent before it is still away."""
        waiting: set[Row] = set()
        for position, chunk in enumerate(self._chunks):
            if chunk.over and chunk.row not in waiting:
                del self._chunks[position]
                self._unpack(chunk, self._bodies[chunk.row])
                return chunk
            waiting.add(chunk.row)
        return None

    @property
    def came_back(self) -> bool:
        """Whether a chunk is over, though it may not be its turn yet."""
        return any(chunk.over for chunk in self._chunks)

    async def news(self) -> None:
        """Wait until another chunk is over, or somebody tells that there is something else to do."""
        await self._news.wait()
        self._news.clear()

    def tell(self) -> None:
        """There is something else to do than to wait."""
        self._news.set()

    def stop(self, frame_id: FrameId) -> None:
        """Nobody wants to know of this round any more. Where that is so of all of a chunk, it is stopped."""
        for chunk in self._chunks:
            if frame_id in chunk.open:
                chunk.open.discard(frame_id)
                if not chunk.open and chunk.task is not None and chunk.begun:
                    chunk.task.cancel()

    def forget(self, row: Row) -> None:
        """Nothing of this run of a body is due or away."""
        if not self.has(row):
            self._bodies.pop(row, None)

    def _items(self, frame_id: FrameId) -> int:
        return max(1, len(self.produced.entries.get(frame_id, EMPTY)))

    def _bytes(self, frame_id: FrameId) -> int:
        return entry_bytes(self.produced.entries.get(frame_id, EMPTY))

    def _goes_along(self, frame_id: FrameId, next_one: FrameId) -> bool:
        """Whether it is the next round of the same run of a loop, and open still: without a loop there is no other."""
        return next_one.rounds[-1] == frame_id.rounds[-1] + 1 and next_one in self.produced.entries

    def _prepared(self, row: Row, container: At) -> _Body:
        cost = self.costs.of(self.work.plan, row[0])
        try:
            return _Body(pack_body(self.work, self.produced, row[0], container), cost)
        except BudflowError:
            return _Body(None, cost)  # Whoever computes it here says so.

    def _pays_still(self, chunk: Chunk) -> bool:
        """Whether to send a chunk now that it is packed: what that took tells what handling will take at the least."""
        cost = self._bodies[chunk.row].cost
        if cost.handling_guess is None:
            cost.handling_guess = HANDLING_TIMES_PACKING * chunk.packing_seconds / chunk.items
        return cost.handling_pays

    async def _run(self, heavy: Heavy, chunk: Chunk, pack: Callable[[], bytes]) -> None:
        try:
            chunk.begun = True
            if chunk.open:
                packed, chunk.packing_seconds = await asyncio.to_thread(_timed, pack)
                if not self._pays_still(chunk):
                    return
                async with asyncio.timeout(PATIENCE_SECONDS + PATIENCE_TIMES * chunk.seconds):
                    chunk.given = await heavy.run_rounds(self.work, packed)
        except TimeoutError:
            self._note_lost(chunk, "It did not come back.")
        except BudflowError as error:  # Who computed it died, or it cannot be sent at all.
            self._note_lost(chunk, error.message)
        except asyncio.CancelledError:
            if chunk.open:  # Not this chunk was stopped, but the run.
                raise
        finally:
            chunk.over = True
            self.tell()

    def _unpack(self, chunk: Chunk, body: _Body) -> None:
        if chunk.given is None:
            return
        began = time.thread_time()
        given = unpack_rounds(chunk.given, self.log)
        if isinstance(given, Failure):
            self._note_lost(chunk, given.message)
            return
        chunk.rounds, seconds = given
        body.cost.note(chunk.items, seconds)
        body.cost.note_handling(chunk.items, chunk.packing_seconds + time.thread_time() - began)

    def _note_lost(self, chunk: Chunk, why: str) -> None:
        self._lost[chunk.row[0]] += 1
        log.warning("rounds.lost", execution=self.work.execution.id, rounds=len(chunk.frames), error=why)


def _timed(pack: Callable[[], bytes]) -> tuple[bytes, float]:
    """What it gives, and the seconds of a processor that it takes."""
    began = time.thread_time()
    return pack(), time.thread_time() - began
