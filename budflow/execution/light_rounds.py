"""Rounds of bodies that only compute: worked off many in one go, and journaled as one event."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

from budflow.execution import spill
from budflow.execution.blobs import BlobUnwritable
from budflow.execution.collecting import Collecting
from budflow.execution.frames import container_of, frame_of, round_of
from budflow.execution.lineage import out_of
from budflow.execution.node_result import failure_of
from budflow.execution.node_work import NodeWork
from budflow.execution.open_node import Openings, OpenNode
from budflow.execution.produced import Produced
from budflow.execution.state import At, Command, FrameId, State
from budflow.graph.plan import ENTRY, PlanNode
from budflow.model import event as e
from budflow.model.failure import Failure
from budflow.model.item import ItemList
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
    """The frames of one execution that are due, in the order in which they were opened."""

    def __init__(
        self,
        produced: Produced,
        openings: Openings,
        node_work: NodeWork,
        collecting: Collecting,
        *,
        open_nodes: Mapping[At, OpenNode],
        state: Callable[[], State],
        emit: Callable[[e.Event], list[Command]],
        carry_out: Callable[[list[Command]], object],
        now: Callable[[], datetime],
    ) -> None:
        self._produced, self._openings, self._node_work, self._now = produced, openings, node_work, now
        self._collecting, self._open, self._state = collecting, open_nodes, state
        self._emit, self._carry_out = emit, carry_out
        self._logged: dict[str, list[LogLine]] = {}  # In the rounds of one go, by the key of the node.
        self._due: deque[FrameId] = deque()
        self._known: set[FrameId] = set()
        self._working = False

    def add(self, frame_id: FrameId) -> bool:
        """A frame is due; whether somebody must begin to `work`, which goes on until none is."""
        if frame_id in self._known:
            return False
        self._known.add(frame_id)
        self._due.append(frame_id)
        working, self._working = self._working, True
        return not working

    async def work(self) -> None:
        """Work rounds off: many in one go, pauses in between. Raises what keeping what they gave raises."""
        while True:
            before = self._state()
            event = await self._next()
            if event is None:
                return
            container = self._produced.plan.nodes[self._produced.plan.index[event.node]]
            path = path_of(container.key, event.rounds)
            try:
                given = await self._collecting.finished(event)
            except (BlobUnwritable, EventUnwritable) as error:
                given = _failed(event, failure_of(container, error, path))
            if self._state() is not before and self._is_void(event):
                continue
            for key, lines in self._logged.items():
                self._emit(e.NodeLogged(self._now(), key, tuple(lines), event.rounds))
            try:
                commands = self._emit(given)
            except EventUnwritable as error:
                commands = self._emit(_failed(event, failure_of(container, error, path)))
            self._carry_out(commands)
            at, numbers = At(container.index, event.rounds), range(event.first, event.first + len(event.counts))
            if self._collecting.ended(at, event.body, numbers):
                await self._collecting.collect(at, event.body)
            await asyncio.sleep(0)

    async def _next(self) -> e.RoundsFinished | None:
        """Work off rounds of one container that follow each other, until they give much; None when none is due."""
        done: list[tuple[ItemList, Failure | None]] = []
        self._logged = {}
        first: FrameId | None = None
        items = 0
        began = paused = time.perf_counter()
        while self._due and len(done) < ROUNDS_MAX and items < spill.ITEMS_MAX:
            now = time.perf_counter()
            if done and now - paused >= SECONDS_MAX:
                if now - began >= HELD_SECONDS_MAX or _is_much(items, done[-1][0]):
                    break
                await asyncio.sleep(0)
                paused = time.perf_counter()
                continue
            frame_id = self._due[0]
            if first is not None and not self._follows(first, len(done), frame_id):
                break
            self._due.popleft()
            self._known.discard(frame_id)
            if self._state().stops(frame_id):
                continue  # Its nodes were told to stop, and said so.
            opened = self._open[self._container(frame_id)]
            first = first or frame_id
            done.append(self._run(frame_id, opened.started_at))
            items += len(done[-1][0])
        if first is None:
            self._working = False
            return None
        return self._event(first, done)

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

    def _event(self, first: FrameId, done: list[tuple[ItemList, Failure | None]]) -> e.RoundsFinished:
        plan = self._produced.plan
        at = self._container(first)
        container = plan.nodes[at.node]
        number = round_of(container, first)
        return e.RoundsFinished(
            self._now(),
            container.key,
            plan.graphs[first.graph].name,
            number,
            tuple(len(out) for out, _ in done),
            gathered(out for out, _ in done),
            {number + offset: failure for offset, (_, failure) in enumerate(done) if failure is not None},
            at.rounds,
        )

    def _container(self, frame_id: FrameId) -> At:
        at = container_of(self._produced.plan, frame_id)
        assert at is not None  # noqa: S101 - the workflow's own graph is no body
        return at

    def _follows(self, first: FrameId, done: int, frame_id: FrameId) -> bool:
        """Whether a frame is the next round of the same run of the same loop."""
        container = self._produced.plan.nodes[self._container(first).node]
        return (
            container.spec.bodies.loops
            and frame_id.graph == first.graph
            and frame_id.rounds[:-1] == first.rounds[:-1]
            and frame_id.rounds[-1] == first.rounds[-1] + done
        )

    def _run(self, frame_id: FrameId, now: datetime) -> tuple[ItemList, Failure | None]:
        """One round, node after node; they begin at the time of their container, so that a repetition sees the same."""
        plan = self._produced.plan
        for number in plan.graphs[frame_id.graph].ordered:
            node, at = plan.nodes[number], At(number, frame_id.rounds)
            if not self._is_reached(node, at):
                continue
            event = self._node_work.compute(self._openings.open(at, now))
            if event.log:
                self._note_log(frame_id, event)
            if isinstance(event, e.NodeFailed):
                return ItemList(), event.failure
            self._produced.keep(at, event.outputs)
        return out_of(self._produced, frame_id), None

    def _note_log(self, frame_id: FrameId, event: e.NodeFinished | e.NodeFailed) -> None:
        """Keep what a node logged in a round until the rounds are journaled: of one that is run again only then."""
        container = self._produced.plan.nodes[self._container(frame_id).node]
        number = frame_id.rounds[-1] if container.spec.bodies.loops else None
        self._logged.setdefault(event.node, []).extend(replace(line, round=number) for line in event.log)

    def _is_reached(self, node: PlanNode, at: At) -> bool:
        """The rule by which the core settles, for a node whose sources have all settled."""
        empty = False
        for sources in node.inputs:
            for source in sources:
                if source.node != ENTRY and self._produced.of(source.node, at.rounds) is None:
                    continue
                if len(self._produced.arrived(source, node, at.rounds)):
                    return True
                empty = True
        return empty and (node.spec.run_on_empty or node.node.run_on_empty)


def _is_much(items: int, last: ItemList) -> bool:
    """Whether so many items are as many bytes as are written at once, when all are as large as the last."""
    if not last or isinstance(last.items, Spilled):
        return False
    return items * spill.content_bytes(last.items[-1]) >= spill.CONTENT_BYTES_MAX


def _failed(event: e.RoundsFinished, failure: Failure) -> e.RoundsFinished:
    """The same rounds, all of which failed: for what they gave cannot be written."""
    numbers = range(event.first, event.first + len(event.counts))
    counts = (0,) * len(event.counts)
    return replace(event, counts=counts, items=ItemList(), failures=dict.fromkeys(numbers, failure))
