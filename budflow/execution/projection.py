"""Reading a journal: what each node did, when, where and with what, as a fold over the events."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from budflow.execution import state as s
from budflow.execution.active import first_port, result_of
from budflow.execution.advance import advance
from budflow.execution.ports import ExecutionStore
from budflow.execution.thinning import is_kept
from budflow.execution.unfit import UNFIT, unfit
from budflow.graph.plan import Plan
from budflow.model import event as e
from budflow.model.execution import TERMINAL, Execution, Place
from budflow.model.failure import Failure
from budflow.model.item import ItemList
from budflow.model.joined import join
from budflow.model.journal import decode
from budflow.model.journal_row import check_order, missing
from budflow.model.path import path_of

#: `unrecorded`: it ran or was skipped; the workflow's `journal` setting kept no event of it.
NodeStatus = Literal["pending", "running", "waiting", "succeeded", "failed", "skipped", "cancelled", "unrecorded"]

EVENTS_PAGE = 1_000
#: So many of the runs that failed are named.
FAILED_MAX = 20
#: What several runs of a node come to when none is open: the first of these that any of them came to.
_WORST: tuple[NodeStatus, ...] = ("failed", "cancelled", "succeeded", "skipped")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is told: of all nodes, or of one, and of that only the runs whose rounds begin so; the outputs on demand."""

    node: int | None = None
    rounds: e.Rounds = ()
    outputs: bool = True

    def covers(self, at: s.At) -> bool:
        """Whether this run of a node is to be told."""
        return self.node is None or (self.node == at.node and at.rounds[: len(self.rounds)] == self.rounds)


EVERYTHING = Wanted()


@dataclass(slots=True)
class NodeStory:
    """What one node did, in all its runs together: in a loop it has one for each round.

    `container` and `body` are where it stands, None for the workflow itself. `runs` are those that began; of a node in
    a body that only computes, whose rounds are journaled as a whole, those of its body. `tries` are the most that a run
    took, `failed` the paths of the first runs that failed and `failure` the last's. `counts` and `outputs` are by port,
    one round after the other. `children` are the executions that it called, `credentials` the ids of those that it was
    given last, by slot.
    """

    key: str
    type: str
    container: str | None = None
    body: str | None = None
    status: NodeStatus = "pending"
    runs: int = 0
    started_at: datetime | None = None
    finished_at: datetime | None = None
    counts: dict[str, int] = field(default_factory=dict)
    outputs: dict[str, ItemList] = field(default_factory=dict)
    tries: int = 0
    place: Place | None = None
    failure: Failure | None = None
    failed: list[str] = field(default_factory=list)
    children: list[str] = field(default_factory=list)
    credentials: dict[str, str] = field(default_factory=dict)
    done: int | None = None  # Of `total` items that a loop goes through.
    total: int | None = None


@dataclass(slots=True)
class Story:
    """What an execution did, with its nodes in document order, those of bodies behind the others.

    `cancelled_by` is who first wanted it cancelled, `cancel_oldest:` and an id where it made room for that execution.
    """

    nodes: list[NodeStory]
    place: Place | None = None
    responded: e.Responded | None = None
    finished: e.Finished | None = None
    cancelled_by: str | None = None
    result: ItemList = field(default_factory=ItemList)


def tell(plan: Plan, events: Iterable[e.Event], wanted: Wanted = EVERYTHING) -> Story:
    """The story of an execution from its journal. Raises EventUnreadable for one that is not this plan's."""
    teller = _Teller(plan, wanted)
    for event in events:
        teller.take(event)
    return teller.story()


async def read_story(store: ExecutionStore, execution: Execution, plan: Plan, wanted: Wanted = EVERYTHING) -> Story:
    """The same from the store, part by part: the length of a journal costs neither memory nor the event loop's time.

    Raises EventUnreadable too where a part is missing, as far as the row tells, and EventOfNewerRelease.
    """
    teller = _Teller(plan, wanted)
    while True:
        rows = await store.read_events(execution.project_id, execution.id, after=teller.taken - 1, limit=EVENTS_PAGE)
        check_order(rows, teller.taken)
        for row in rows:
            teller.take(decode(row))
        if len(rows) < EVENTS_PAGE:
            return teller.whole(execution)
        await asyncio.sleep(0)


class _Teller:
    """Folds events, and keeps what they say of nodes."""

    def __init__(self, plan: Plan, wanted: Wanted) -> None:
        self._plan, self._wanted = plan, wanted
        self._state = s.State()
        self._story = Story([_untold(plan, number) for number in range(len(plan.nodes))])
        self._ends: list[Counter[NodeStatus]] = [Counter() for _ in plan.nodes]
        self._outputs: dict[s.At, Mapping[str, ItemList]] = {}
        self._sinks: dict[int, ItemList] = {}
        self._started: dict[s.At, datetime] = {}
        self._waits: dict[s.At, set[int]] = {}
        self._progress: dict[s.At, Mapping[str, int]] = {}
        self.taken = 0

    def take(self, event: e.Event) -> None:
        """Fold one event."""
        key = event.trigger if isinstance(event, e.Admitted) else getattr(event, "node", None)
        try:
            at = None if key is None else s.At(self._plan.index[key], getattr(event, "rounds", ()))
            before = self._state
            self._state, commands = advance(self._plan, before, event)
        except UNFIT as error:
            raise unfit(event, self.taken) from error
        self.taken += 1
        for command in commands:
            if isinstance(command, s.SkipNode) and self._wanted.covers(command.at):
                self._ends[command.at.node]["skipped"] += 1
            elif isinstance(command, s.StartNode):
                self._started.setdefault(command.at, event.at)
        self._note(event)
        if isinstance(event, e.Finished):
            self._note_dropped(event, before)
        if at is not None:
            self._note_node(event, at)
            self._note_progress(at)

    def whole(self, execution: Execution) -> Story:
        """What was told, by a journal that begins, and ends where its execution does. Raises EventUnreadable."""
        if not self.taken or (execution.status in TERMINAL and self._story.finished is None):
            raise missing(self.taken)
        return self.story()

    def story(self) -> Story:
        """What was told so far."""
        running: list[list[s.At]] = [[] for _ in self._plan.nodes]
        for frame_id, frame in self._state.frames.items():
            for number in frame.running:
                at = s.At(number, frame_id.rounds)
                if at not in self._state.held and self._wanted.covers(at):
                    running[number].append(at)
        for number, story in enumerate(self._story.nodes):
            self._conclude(story, self._ends[number], running[number])
            if self._state.phase == "ended" and story.status == "pending":
                story.status = self._silent(number)
        lists: dict[tuple[int, str], list[ItemList]] = {}
        for at, outputs in sorted(self._outputs.items()):
            for port, items in outputs.items():
                lists.setdefault((at.node, port), []).append(items)
        for (number, port), parts in lists.items():
            self._story.nodes[number].outputs[port] = join(parts)
        for at, progress in self._progress.items():
            if self._wanted.covers(at):
                story = self._story.nodes[at.node]
                story.done = (story.done or 0) + progress["done"]
                story.total = (story.total or 0) + progress["total"]
        self._story.result = result_of(self._plan, self._sinks)
        return self._story

    def _conclude(self, story: NodeStory, ends: Counter[NodeStatus], running: list[s.At]) -> None:
        """One status for all runs of a node."""
        story.runs += len(running)
        if running:
            story.finished_at = None
            story.status = "waiting" if all(at in self._waits for at in running) else "running"
            began = [self._started[at] for at in running if at in self._started]
            story.started_at = min([*began, *([story.started_at] if story.started_at else [])], default=None)
        else:
            story.status = next((status for status in _WORST if ends[status]), "pending")

    def _silent(self, number: int) -> NodeStatus:
        """What a node is of which an execution that has ended tells nothing."""
        finished = self._story.finished
        if finished is not None and finished.status == "succeeded" and not is_kept(self._plan, number):
            return "unrecorded"
        return "skipped"  # It never came to its turn.

    def _note(self, event: e.Event) -> None:
        match event:
            case e.Started():
                self._story.place = event.place
            case e.Responded():
                self._story.responded = self._story.responded or event
            case e.CancelRequested(failure=None):
                self._story.cancelled_by = self._story.cancelled_by or event.by
            case e.Finished():
                self._story.finished = event
            case _:
                pass

    def _note_dropped(self, finished: e.Finished, before: s.State) -> None:
        """Of what was begun when an execution succeeded, a thinned journal has dropped the end, but it did end."""
        frame = before.frames.get(s.ROOT)
        if finished.status != "succeeded" or frame is None:
            return
        for at in (s.At(number) for number in frame.running):
            if self._wanted.covers(at):
                story = self._story.nodes[at.node]
                story.runs, story.started_at = 1, self._started.get(at)
                self._ends[at.node]["succeeded"] += 1

    def _note_node(self, event: e.Event, at: s.At) -> None:
        story = self._story.nodes[at.node]
        told = self._wanted.covers(at)
        match event:
            case e.NodeStarted():
                self._started[at] = event.at
            case e.ItemsRetried() if told:
                story.tries = max(story.tries, event.tries)
            case e.WaitStarted():
                self._waits.setdefault(at, set()).add(event.wait)
            case e.WaitEnded() if at in self._waits:
                self._waits[at].discard(event.wait)
                if not self._waits[at]:
                    del self._waits[at]
            case e.ChildStarted() if told:
                story.children.append(event.execution_id)
            case e.CredentialsUsed() | e.Admitted() if told:
                story.credentials.update(event.credentials)
            case e.RoundsFinished():
                self._note_rounds(event, at)
            case e.NodeFinished() | e.NodeFailed() | e.NodeCancelled():
                self._note_end(event, at, story, told)
            case _:
                pass

    def _note_end(
        self, event: e.NodeFinished | e.NodeFailed | e.NodeCancelled, at: s.At, story: NodeStory, told: bool
    ) -> None:
        began = self._started.pop(at, None)
        self._waits.pop(at, None)
        if isinstance(event, e.NodeFinished):
            if at.node in self._plan.sinks:
                self._sinks[at.node] = first_port(self._plan, at.node, event)
            if (progress := self._progress.get(at)) is not None:
                self._progress[at] = {**progress, "done": progress["total"]}
        if not told:
            return
        story.runs += 1
        story.finished_at = event.at
        if isinstance(event, e.NodeCancelled):
            self._ends[at.node]["cancelled"] += 1
            story.started_at = story.started_at or began
            return
        story.started_at = min(event.started_at, story.started_at or event.started_at)
        story.tries, story.place = max(story.tries, event.tries), event.place
        if isinstance(event, e.NodeFailed):
            self._fail(at, event.failure)
            return
        self._ends[at.node]["succeeded"] += 1
        for port, items in event.outputs.items():
            story.counts[port] = story.counts.get(port, 0) + len(items)
        if self._wanted.outputs:
            self._outputs[at] = event.outputs

    def _note_rounds(self, event: e.RoundsFinished, at: s.At) -> None:
        """Rounds of a body that only computes: its nodes have no events of their own."""
        container = self._plan.nodes[at.node]
        graph = self._plan.graphs[container.bodies[event.body]]
        for number in range(event.first, event.first + len(event.counts)):
            rounds = (*at.rounds, number) if container.spec.bodies.loops else at.rounds
            failure = event.failures.get(number)
            for inner in (s.At(node, rounds) for node in graph.nodes):
                self._started.pop(inner, None)
                if not self._wanted.covers(inner):
                    continue
                story = self._story.nodes[inner.node]
                story.runs, story.tries, story.finished_at = story.runs + 1, 1, event.at
                if failure is not None and failure.node in (path_of(story.key, rounds), story.key):
                    self._fail(inner, failure)
                else:
                    self._ends[inner.node]["succeeded"] += 1

    def _fail(self, at: s.At, failure: Failure) -> None:
        story = self._story.nodes[at.node]
        self._ends[at.node]["failed"] += 1
        story.failure = failure
        if at.rounds and len(story.failed) < FAILED_MAX:
            story.failed.append(path_of(story.key, at.rounds))

    def _note_progress(self, at: s.At) -> None:
        """Keep how far a loop has come, which its own state says, after an event of it or of a node in it."""
        node = self._plan.nodes[at.node]
        container = self._plan.graphs[node.graph].container
        ats = [at] if container is None else [at, s.At(container, at.rounds[: self._plan.nodes[container].depth])]
        for one in ats:
            control = self._state.controls.get(one)
            if control is not None and isinstance(control.inner, Mapping) and "progress" in control.inner:
                self._progress[one] = control.inner["progress"]


def _untold(plan: Plan, number: int) -> NodeStory:
    node = plan.nodes[number]
    graph = plan.graphs[node.graph]
    if graph.container is None:
        return NodeStory(node.key, node.spec.name)
    return NodeStory(node.key, node.spec.name, plan.nodes[graph.container].key, graph.name)
