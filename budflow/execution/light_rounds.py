"""Rounds of bodies that only compute: worked off many in one go, and journaled as one event.

Cheap rounds run here, one after the other. Of those that turn out to take long, chunks go to other processes, several
at a time, and what they gave is journaled in the order of the rounds, as if they had run here.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from budflow.execution import spill
from budflow.execution.blobs import BlobUnwritable
from budflow.execution.collecting import Collecting
from budflow.execution.frames import container_of, frame_of, round_of
from budflow.execution.node_result import failure_of
from budflow.execution.node_work import NodeWork
from budflow.execution.open_node import Openings, OpenNode
from budflow.execution.ports import Work
from budflow.execution.produced import Produced
from budflow.execution.round_costs import BodyCost
from budflow.execution.round_work import Round, RoundWork
from budflow.execution.rounds_apart import Chunk, RoundsApart, Row
from budflow.execution.state import At, Command, FrameId, State
from budflow.execution.tools import Tools
from budflow.model import event as e
from budflow.model.failure import Failure
from budflow.model.item import EMPTY, ItemList
from budflow.model.joined import gathered
from budflow.model.journal import EventUnwritable
from budflow.model.log import LogLine
from budflow.model.path import path_of
from budflow.model.spilled import Spilled

ROUNDS_MAX = 1_000
#: For so long in one go, without a pause for others.
SECONDS_MAX = 0.010
#: After so long they are journaled, whether they gave much or little.
HELD_SECONDS_MAX = 1.0


class LightRounds:
    """The frames of one execution that are due: of each run of a body in the order in which they were opened."""

    def __init__(
        self,
        work: Work,
        produced: Produced,
        openings: Openings,
        node_work: NodeWork,
        collecting: Collecting,
        *,
        tools: Tools,
        open_nodes: Mapping[At, OpenNode],
        state: Callable[[], State],
        emit: Callable[[e.Event], list[Command]],
        carry_out: Callable[[list[Command]], object],
        spawn: Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"],
    ) -> None:
        self._produced, self._collecting, self._now, self._costs = produced, collecting, tools.now, tools.costs
        self._open, self._state, self._emit, self._carry_out, self._spawn = open_nodes, state, emit, carry_out, spawn
        self._work = RoundWork(produced, openings, partial(node_work.run_of, live=False), pinned=work.pinned)
        self._apart = RoundsApart(work, produced, tools.heavy, tools.costs, node_work.log, spawn)
        self._rows: dict[Row, deque[FrameId]] = {}  # What is due; whose turn is next stands first.
        self._known: set[FrameId] = set()
        self._working = False

    def add(self, frame_id: FrameId) -> None:
        """A frame is due."""
        if frame_id in self._known:
            return
        self._known.add(frame_id)
        self._rows.setdefault(self._row(frame_id), deque()).append(frame_id)
        if self._working:
            self._apart.tell()
        else:
            self._working = True
            self._spawn(self._work_off())

    def cancel(self, at: At) -> None:
        """A node of a round that is due, or away, is to stop: it says so, and the round will be passed over."""
        node = self._produced.plan.nodes[at.node]
        frame_id = FrameId(node.graph, at.rounds)
        if self._produced.plan.graphs[node.graph].light and self._state().runs(frame_id, at.node):
            self._apart.stop(frame_id)
            self._carry_out(self._emit(e.NodeCancelled(self._now(), node.key, at.rounds)))

    async def _work_off(self) -> None:
        """Work rounds off until none is due. Raises what keeping what they gave raises."""
        while True:
            self._send()
            chunk = self._apart.take_back()
            if chunk is not None:
                await self._take_in(chunk)
            elif (row := self._row_for_here()) is not None:
                await self._work_here(row, self._rows[row])
            elif self._apart.under_way:
                await self._apart.news()
            elif not self._rows:
                self._working = False
                return
            await asyncio.sleep(0)

    # --- here ---------------------------------------------------------------------------------------------------------

    def _row_for_here(self) -> Row | None:
        """A run of a body of which rounds are due that had better be computed here."""
        return next(
            (row for row, frames in self._rows.items() if not (self._apart.has(row) or self._apart.pays(row, frames))),
            None,
        )

    async def _work_here(self, row: Row, frames: deque[FrameId]) -> None:
        """Work off some of these, and journal them. The others get their next turn behind those of other runs."""
        before = self._state()
        first, done = await self._some(row, frames)
        self._rows.pop(row, None)
        if frames:
            self._rows[row] = frames
        if first is not None:
            await self._keep(first, done, before)
        if row not in self._rows:
            self._apart.forget(row)

    async def _some(self, row: Row, frames: deque[FrameId]) -> tuple[FrameId | None, list[Round]]:
        """Rounds that follow each other, until they give much; the first of them, None when none is due."""
        done: list[Round] = []
        first: FrameId | None = None
        started_at = self._now()
        items = 0
        measure = _Measure(self._costs.of(self._produced.plan, row[0]))
        began = paused = time.perf_counter()
        while frames and len(done) < ROUNDS_MAX and items < spill.ITEMS_MAX:
            now = time.perf_counter()
            if done and now - paused >= SECONDS_MAX:
                measure.pause()
                if now - began >= HELD_SECONDS_MAX or self._has_enough(row, frames, items, done[-1].items):
                    break
                await asyncio.sleep(0)
                measure.go_on()
                paused = time.perf_counter()
                continue
            frame_id = frames[0]
            if first is not None and frame_id.rounds[-1] != first.rounds[-1] + len(done):
                break
            frames.popleft()
            self._known.discard(frame_id)
            if self._state().stops(frame_id):
                continue  # Its nodes were told to stop, and said so.
            if first is None:
                first, started_at = frame_id, self._open[self._container(frame_id)].started_at
            measure.items += len(self._produced.entries[frame_id]) or 1
            done.append(self._work.run(frame_id, started_at))
            items += len(done[-1].items)
        measure.pause()
        return first, done

    def _has_enough(self, row: Row, frames: deque[FrameId], items: int, last: ItemList) -> bool:
        """Whether the rounds of a go are to be journaled now: they gave much, or the others had better go elsewhere."""
        return _is_much(items, last) or self._apart.came_back or self._apart.pays(row, frames)

    # --- elsewhere ----------------------------------------------------------------------------------------------------

    def _send(self) -> None:
        """Send off what had better be computed elsewhere, as much as is worked on there at a time."""
        for row, frames in [*self._rows.items()]:
            while not self._apart.full and self._pass_over(frames) and self._apart.pays(row, frames):
                container = self._container(frames[0])
                if not self._apart.send(row, container, frames, self._open[container].started_at):
                    break
            if not frames:
                self._rows.pop(row, None)

    def _pass_over(self, frames: deque[FrameId]) -> bool:
        """Whether any of these is left without those that were stopped."""
        while frames and self._state().stops(frames[0]):
            self._known.discard(frames.popleft())
        return bool(frames)

    async def _take_in(self, chunk: Chunk) -> None:
        """Journal what came of a chunk. One that was lost is run here: it only computes."""
        self._known.difference_update(chunk.frames)
        frames = deque(chunk.frames)
        if chunk.rounds is not None:
            await self._keep(frames[0], chunk.rounds, None, spill.PART_BYTES_MAX)
            frames.clear()
        while frames:
            before = self._state()
            first, done = await self._some(chunk.row, frames)
            if first is not None:
                await self._keep(first, done, before)
        if chunk.row not in self._rows:
            self._apart.forget(chunk.row)

    # --- what came of them --------------------------------------------------------------------------------------------

    async def _keep(
        self, first: FrameId, done: Sequence[Round], before: State | None, bytes_max: int | None = None
    ) -> None:
        """Journal rounds, of which the first is named; `before` is the state in which they were begun, where known."""
        event = self._event(first, done)
        container = self._produced.plan.nodes[self._produced.plan.index[event.node]]
        path = path_of(container.key, event.rounds)
        try:
            given = await self._collecting.finished(event, bytes_max)
        except (BlobUnwritable, EventUnwritable) as error:
            given = _failed(event, failure_of(container, error, path))
        if self._state() is not before and self._is_void(event):
            return
        for key, lines in self._logged(event, done).items():
            self._emit(e.NodeLogged(self._now(), key, tuple(lines), event.rounds))
        try:
            commands = self._emit(given)
        except EventUnwritable as error:
            commands = self._emit(_failed(event, failure_of(container, error, path)))
        self._carry_out(commands)
        at, numbers = At(container.index, event.rounds), range(event.first, event.first + len(event.counts))
        if self._collecting.ended(at, event.body, numbers):
            await self._collecting.collect(at, event.body)

    def _is_void(self, event: e.RoundsFinished) -> bool:
        """Whether some of these rounds were stopped since they ran: the others are due again."""
        state = self._state()
        node = self._produced.plan.nodes[self._produced.plan.index[event.node]]
        at = At(node.index, event.rounds)
        frames = [frame_of(node, at, event.body, event.first + offset) for offset in range(len(event.counts))]
        going_on = [frame_id for frame_id in frames if not state.stops(frame_id)]
        if len(going_on) == len(frames):
            return False
        for frame_id in going_on:
            self.add(frame_id)
        return True

    def _event(self, first: FrameId, done: Sequence[Round]) -> e.RoundsFinished:
        plan = self._produced.plan
        at = self._container(first)
        container = plan.nodes[at.node]
        number = round_of(container, first)
        return e.RoundsFinished(
            self._now(),
            container.key,
            plan.graphs[first.graph].name,
            number,
            tuple(len(one.items) for one in done),
            gathered(one.items for one in done),
            {number + offset: one.failure for offset, one in enumerate(done) if one.failure is not None},
            at.rounds,
        )

    def _logged(self, event: e.RoundsFinished, done: Sequence[Round]) -> Mapping[str, list[LogLine]]:
        """What the nodes logged in these rounds, by their keys: of rounds that are run again only then."""
        loops = self._produced.plan.nodes[self._produced.plan.index[event.node]].spec.bodies.loops
        logged: dict[str, list[LogLine]] = {}
        for number, one in enumerate(done, event.first):
            for key, log in one.logged:
                lines = (replace(line, round=number if loops else None) for line in log.end())
                logged.setdefault(key, []).extend(lines)
        return {key: lines for key, lines in logged.items() if lines}

    def _row(self, frame_id: FrameId) -> Row:
        plan = self._produced.plan
        container = plan.graphs[frame_id.graph].container
        loops = container is not None and plan.nodes[container].spec.bodies.loops
        return frame_id.graph, frame_id.rounds[:-1] if loops else frame_id.rounds

    def _container(self, frame_id: FrameId) -> At:
        at = container_of(self._produced.plan, frame_id)
        assert at is not None  # noqa: S101 - the workflow's own graph is no body
        return at


class _Measure:
    """What rounds cost that run between two pauses. `items` are those that went into them."""

    def __init__(self, cost: BodyCost) -> None:
        self._cost = cost
        self.items = 0
        self._began = time.thread_time()

    def pause(self) -> None:
        """Others have their turn now, or the rounds are over."""
        self._cost.note(self.items, time.thread_time() - self._began)
        self.items = 0

    def go_on(self) -> None:
        """The next rounds begin."""
        self._began = time.thread_time()


def _is_much(items: int, last: ItemList) -> bool:
    """Whether so many items are as many bytes as are written at once, when all are as large as the last."""
    if not last or isinstance(last.items, Spilled):
        return False
    return items * spill.content_bytes(last.items[-1]) >= spill.CONTENT_BYTES_MAX


def _failed(event: e.RoundsFinished, failure: Failure) -> e.RoundsFinished:
    """The same rounds, all of which failed: for what they gave cannot be written."""
    numbers = range(event.first, event.first + len(event.counts))
    counts = (0,) * len(event.counts)
    return replace(event, counts=counts, items=EMPTY, failures=dict.fromkeys(numbers, failure))
