"""A run of a node that is open: the items that reached it, what its expressions see of them, what it waits for."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from budflow.execution import spill
from budflow.execution.collected import Collected
from budflow.execution.lineage import NodeViews
from budflow.execution.names import Known, RunNames, batch_of
from budflow.execution.node_log import NodeLog
from budflow.execution.ports import NOTHING_AROUND
from budflow.execution.produced import Produced
from budflow.execution.state import At, FrameId
from budflow.expressions.budget import SEED
from budflow.expressions.evaluate import Scope
from budflow.graph.plan import Plan, PlanNode
from budflow.model import event as e
from budflow.model.execution import Execution
from budflow.model.failure import Failure
from budflow.model.item import EMPTY, Item, ItemList, Json
from budflow.model.joined import join
from budflow.model.log import LogLine
from budflow.model.path import path_of
from budflow.model.redaction import Redaction
from budflow.model.spilled import Spilled
from budflow.model.static_data import NO_STATIC, StaticData
from budflow.model.workflow import Effect


@dataclass(slots=True)
class Body:
    """What went into one round of a body, and what came of it: `out`, or the `failure`."""

    entry: ItemList
    out: ItemList | None = None
    failure: Failure | None = None

    @property
    def ended(self) -> bool:
        """Whether it is over, and was not stopped."""
        return self.out is not None or self.failure is not None

    def give(self, items: ItemList) -> None:
        """It is over; what went into it is asked for by nobody any more."""
        self.entry, self.out = EMPTY, items

    def copy(self) -> "Body":
        """All of it as it is now. What went into a round that gave something is asked for by nobody."""
        return Body(EMPTY if self.out is not None and self.failure is None else self.entry, self.out, self.failure)


@dataclass(slots=True)
class Uncollected:
    """How much of a body's rounds that have ended is in memory, and whether some of it is being moved to blobs.

    `patience` times the usual amount is waited for until it is.
    """

    rounds: int = 0
    items: int = 0
    content_bytes: int = 0
    moving: bool = False
    patience: int = 1

    def add(self, bodies: Sequence[Body]) -> None:
        """More rounds have ended. Their size is that of the last item of them, which is made believe of all."""
        given = [body.entry if body.out is None else body.out for body in bodies]
        items = sum(map(len, given))
        self.rounds += len(bodies)
        self.items += items
        last = next((some for some in reversed(given) if some), None)
        if last is not None and not isinstance(last.items, Spilled):
            self.content_bytes += items * spill.content_bytes(last.items[-1])

    @property
    def much(self) -> bool:
        """Whether some of it is to be moved."""
        most = max(self.rounds, self.items)
        return most >= spill.ITEMS_MAX * self.patience or self.content_bytes >= spill.CONTENT_BYTES_MAX * self.patience


@dataclass(slots=True)
class OpenWait:
    """A wait that began: when it is over by itself, and the timer for that."""

    until: datetime | None
    timer: asyncio.TimerHandle | None = None


@dataclass(slots=True)
class OpenControl:
    """What a control node has of its own while it is open.

    `fed` are its items, with the ordinals of the input items as lineage. `collected` are rounds by body that are in
    `bodies` no more, for what they gave was moved to blobs. `started` are the numbers of its calls, `sources` what
    went into them and `calls` what came of those that ended.
    """

    fed: ItemList
    bodies: dict[tuple[str, int], Body] = field(default_factory=dict)
    collected: dict[str, list[Collected]] = field(default_factory=dict)
    sources: dict[int, ItemList] = field(default_factory=dict)
    calls: dict[int, ItemList] = field(default_factory=dict)
    started: set[int] = field(default_factory=set)
    waits: dict[int, OpenWait] = field(default_factory=dict)
    answers: dict[int, Any] = field(default_factory=dict)
    deadline: datetime | None = None
    stopped: bool = False
    timers: list[asyncio.TimerHandle] = field(default_factory=list)

    def copy(self) -> "OpenControl":
        """All of it as it is now, without its timers; the items themselves are shared."""
        return replace(
            self,
            bodies={key: body.copy() for key, body in self.bodies.items()},
            collected=dict(self.collected),
            sources=dict(self.sources),
            calls=dict(self.calls),
            started=set(self.started),
            waits={number: OpenWait(wait.until) for number, wait in self.waits.items()},
            answers=dict(self.answers),
            timers=[],
        )


@dataclass(slots=True)
class Recorded:
    """What the journal already has of the work of a node with an effect: how many items were begun, which are done.

    A person was `asked` so often what to do about those in doubt; `decided` are the answers, each with the number of
    items that were begun then: of others nobody has decided anything. It is `behind` where the journal has more.
    """

    begun: int = 0
    done: dict[int, list[Item]] = field(default_factory=dict)
    started_at: datetime | None = None
    asked: int = 0
    decided: list[tuple[int, str]] = field(default_factory=list)
    behind: bool = False

    @property
    def pending(self) -> bool:
        """Whether a person was asked and has not answered."""
        return self.asked > len(self.decided)

    def note(self, event: e.ItemsStarted | e.ItemsFinished) -> None:
        """More of its items were begun, or are done."""
        if isinstance(event, e.ItemsStarted):
            self.begun = event.begun
            return
        self.done.update({ordinal: [] for ordinal in event.ordinals})
        for item, ordinal in zip(event.items.items, event.items.lineage, strict=True):
            self.done[ordinal].append(item)

    def copy(self) -> "Recorded":
        """All of it as it is now; the items themselves are shared."""
        return replace(self, done=dict(self.done), decided=[*self.decided])


@dataclass(slots=True)
class OpenNode:
    """One run of a node between its start and its end.

    `ports` are the ordinals of each input port. A light or heavy node has its `task`, which has `begun` once it got
    its first turn; a control node has its `control` once its start is journaled. `refused` are items that fail without
    a try, and `decided` is set when a person has decided about items in doubt, while that is waited for. `redaction`
    masks the secrets of the credentials that it was given. `log` keeps what it logs, once it works.
    """

    at: At
    node: PlanNode
    started_at: datetime
    items: Sequence[Item]
    ports: Mapping[str, range]
    task: asyncio.Task[None] | None = None
    begun: bool = False
    effect: Effect = "pure"
    recorded: Recorded | None = None
    control: OpenControl | None = None
    cancelled: bool = False
    over: bool = False
    grace: asyncio.TimerHandle | None = None
    static: StaticData = NO_STATIC
    refused: Mapping[int, Failure] = field(default_factory=dict)
    decided: "asyncio.Future[None] | None" = None
    uncollected: dict[str, Uncollected] = field(default_factory=dict)
    redaction: Redaction | None = None
    log: NodeLog | None = None

    @property
    def path(self) -> str:
        """The node path."""
        return path_of(self.node.key, self.at.rounds)

    def logged(self) -> tuple[LogLine, ...]:
        """What it logged and is not in the journal yet; from now on it logs nothing."""
        return () if self.log is None else self.log.end()

    def passed_through(self) -> ItemList:
        """Its input items, unchanged."""
        return ItemList(self.items, range(len(self.items)))

    def given(self, *, pinned: bool) -> Mapping[str, ItemList] | None:
        """What it gives without running: its input where it is disabled, and with `pinned` what is pinned to it."""
        node = self.node
        if node.node.disabled:
            return {node.output_names[0]: self.passed_through()}
        if pinned and node.node.pinned is not None:
            return {node.output_names[0]: ItemList.of(map(dict, node.node.pinned))}
        return None


class Openings:
    """Opens the nodes of one execution."""

    def __init__(
        self,
        execution: Execution,
        plan: Plan,
        produced: Produced,
        resume_url: str | None,
        surroundings: Mapping[str, Mapping[str, Any]] = NOTHING_AROUND,
        trigger: str | None = None,
    ) -> None:
        self._plan, self._produced, self._trigger = plan, produced, trigger
        self._zone = ZoneInfo(plan.settings.timezone)
        self._effect_scope = execution.effect_scope
        self._names: dict[str, Any] = {
            "execution": {
                "id": execution.id,
                "mode": execution.mode,
                "started_at": execution.created_at.astimezone(self._zone),
                "resume_url": resume_url,
                "workflow_version": plan.version,
            },
            "workflow": {"id": plan.workflow_id, "name": plan.name, "version": plan.version},
            **surroundings,
        }

    def open(self, at: At, now: datetime) -> OpenNode:
        """A run of a node with the items that reach it."""
        node = self._plan.nodes[at.node]
        if node.spec.trigger:
            items, ports = self._produced.admitted, {"main": range(len(self._produced.admitted))}
        else:
            lists, ports = self._produced.inputs(at)
            items = join(lists).items
        if node.node.run_once and len(items) > 1:
            items = items[:1]
            ports = {name: range(min(ordinals.start, 1), min(ordinals.stop, 1)) for name, ordinals in ports.items()}
        return OpenNode(at, node, now, items, ports)

    def open_control(self, opened: OpenNode) -> OpenControl:
        """What a control node has at its beginning. Raises what its parameter for the items raises."""
        spec = opened.node.spec
        if spec.feed is None or opened.node.node.params.get(spec.feed) is None:
            return OpenControl(opened.passed_through())
        items: list[Item] = []
        lineage: list[int] = []
        scope = self.scope_of(opened)
        for ordinal in range(len(opened.items)):
            given = getattr(opened.node.params.resolve(scope(ordinal)), spec.feed)
            for value in given or ():  # Null is no list at all: only who leaves the parameter out means the items.
                items.append(_item(value))
                lineage.append(ordinal)
        return OpenControl(ItemList(items, lineage))

    def scope_of(self, opened: OpenNode, items: Sequence[Item] | None = None) -> Callable[[int | None], Scope]:
        """What the node's expressions see for an input item, by its ordinal (None: for none); or for other `items`."""
        made: RunNames | None = None

        def scope(ordinal: int | None) -> Scope:
            nonlocal made
            if made is None:  # Made when first asked for: a node without expressions never asks.
                made = self.names_of(opened, opened.node.params.names, items)
            return made.scope(ordinal)

        return scope

    def names_of(self, opened: OpenNode, wanted: frozenset[str], items: Sequence[Item] | None = None) -> RunNames:
        """What expressions that read the names in `wanted` see there."""
        at, known = opened.at, Known()

        def nodes(ordinal: int | None) -> NodeViews:
            # Items that are not its inputs have a lineage of their own, which ends here.
            return NodeViews(self._produced, at, ordinal if items is None else None, known)

        fixed = {
            **self._names,
            "now": opened.started_at.astimezone(self._zone),
            "run_index": at.rounds[-1] if at.rounds else 0,
            SEED: f"{self._effect_scope}/{opened.path}",
        }
        return RunNames(
            wanted,
            fixed,
            opened.items if items is None else items,
            nodes=nodes,
            trigger=self.trigger,
            batch=partial(self._batch, opened),
        )

    def trigger(self) -> str | None:
        """The key of the trigger that fired; None where none did."""
        if self._trigger is None:
            plan, produced = self._plan, self._produced
            self._trigger = next((plan.nodes[n].key for n in plan.triggers if produced.of(n, ()) is not None), None)
        return self._trigger

    def _batch(self, opened: OpenNode) -> Json:
        rounds = opened.at.rounds
        entry = self._produced.entries.get(FrameId(opened.node.graph, rounds))
        return batch_of(rounds[-1] if rounds else 0, opened.items if entry is None else entry.items)


def _item(value: Any) -> Item:
    if isinstance(value, Item):
        return value
    return Item(value) if isinstance(value, dict) else Item({"value": value})
