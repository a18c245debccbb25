"""Rounds of bodies that only compute: worked off many in one go, and journaled as one event."""

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

from budflow.execution.frames import container_of, round_of
from budflow.execution.lineage import out_of
from budflow.execution.node_work import NodeWork
from budflow.execution.open_node import Openings, OpenNode
from budflow.execution.produced import Produced
from budflow.execution.state import At, FrameId, State
from budflow.graph.plan import ENTRY, PlanNode
from budflow.model import event as e
from budflow.model.failure import Failure
from budflow.model.item import Item, ItemList

ROUNDS_MAX = 1_000
SECONDS_MAX = 0.010


class LightRounds:
    """The frames of one execution that are due, in the order in which they were opened."""

    def __init__(
        self, produced: Produced, openings: Openings, node_work: NodeWork, now: Callable[[], datetime]
    ) -> None:
        self._produced, self._openings, self._node_work, self._now = produced, openings, node_work, now
        self._due: deque[FrameId] = deque()
        self._known: set[FrameId] = set()

    def add(self, frame_id: FrameId) -> bool:
        """A frame is due; whether it is the first of those that are, so that somebody must begin to ask for `next`."""
        if frame_id in self._known:
            return False
        self._known.add(frame_id)
        self._due.append(frame_id)
        return len(self._known) == 1

    def next(self, open_nodes: Mapping[At, OpenNode], state: State) -> e.RoundsFinished | None:
        """Work off rounds of one container that follow each other, for some milliseconds; None when none is due."""
        done: list[tuple[ItemList, Failure | None]] = []
        first: FrameId | None = None
        began = time.perf_counter()
        while self._due and len(done) < ROUNDS_MAX and (not done or time.perf_counter() - began < SECONDS_MAX):
            frame_id = self._due[0]
            if first is not None and not self._follows(first, len(done), frame_id):
                break
            self._due.popleft()
            self._known.discard(frame_id)
            if state.stops(frame_id):
                continue  # Its nodes were told to stop, and said so.
            opened = open_nodes[self._container(frame_id)]
            first = first or frame_id
            done.append(self._run(frame_id, opened.started_at))
        if first is None:
            return None
        return self._event(first, done)

    def _event(self, first: FrameId, done: list[tuple[ItemList, Failure | None]]) -> e.RoundsFinished:
        plan = self._produced.plan
        at = self._container(first)
        container = plan.nodes[at.node]
        number = round_of(container, first)
        items: list[Item] = []
        lineage: list[int] = []
        for out, _ in done:
            items.extend(out.items)
            lineage.extend(out.lineage)
        return e.RoundsFinished(
            self._now(),
            container.key,
            plan.graphs[first.graph].name,
            number,
            tuple(len(out) for out, _ in done),
            ItemList(items, lineage),
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
            if isinstance(event, e.NodeFailed):
                return ItemList(), event.failure
            self._produced.keep(at, event.outputs)
        return out_of(self._produced, frame_id), None

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


def failed(event: e.RoundsFinished, failure: Failure) -> e.RoundsFinished:
    """The same rounds, all of which failed: for what they gave cannot be written."""
    numbers = range(event.first, event.first + len(event.counts))
    counts = (0,) * len(event.counts)
    return replace(event, counts=counts, items=ItemList(), failures=dict.fromkeys(numbers, failure))
