"""A node that runs: the items that reached it, what its expressions see of them, and what it waits for."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from budflow.execution.lineage import NodeViews, inputs_of
from budflow.expressions.evaluate import Scope
from budflow.graph.plan import Plan, PlanNode
from budflow.model.execution import Execution
from budflow.model.item import Item, ItemList, join
from budflow.model.workflow import Effect


@dataclass(slots=True)
class OpenNode:
    """One node between its start and its end.

    `ports` are the ordinals of each input port. A light or heavy node has its `task`, which has `begun` once it got
    its first turn; a control node has the items of its `calls` that came back and the numbers of those it `awaits`.
    """

    node: PlanNode
    started_at: datetime
    items: Sequence[Item]
    ports: Mapping[str, range]
    task: asyncio.Task[None] | None = None
    begun: bool = False
    effect: Effect = "pure"
    calls: dict[int, ItemList] = field(default_factory=dict)
    awaits: set[int] = field(default_factory=set)
    cancelled: bool = False
    grace: asyncio.TimerHandle | None = None

    def passed_through(self) -> ItemList:
        """Its input items, unchanged."""
        return ItemList(self.items, range(len(self.items)))


class Openings:
    """What nodes find when they begin, in one execution: items made so far by number of the node that made them."""

    def __init__(self, execution: Execution, plan: Plan) -> None:
        self._plan = plan
        self._names: dict[str, Any] = {
            "execution": {"id": execution.id, "mode": execution.mode, "started_at": execution.created_at},
            "workflow": {"id": plan.workflow_id, "name": plan.name, "version": plan.version},
            "error": None,
        }
        self._zone = ZoneInfo(plan.settings.timezone)
        self._produced: dict[int, Sequence[ItemList]] = {}
        self.admitted: Sequence[Item] = ()

    def keep(self, node: PlanNode, outputs: Mapping[str, ItemList]) -> None:
        """What a node gave, for those behind it."""
        self._produced[node.index] = [outputs[name] for name in node.output_names]

    def open(self, node: PlanNode, now: datetime) -> OpenNode:
        """A node with the items that reach it."""
        if node.spec.trigger:
            items, ports = self.admitted, {"main": range(len(self.admitted))}
        else:
            lists, ports = inputs_of(node, self._produced)
            items = join(lists).items
        if node.node.run_once and len(items) > 1:
            items = items[:1]
            ports = {name: range(min(ordinals.start, 1), min(ordinals.stop, 1)) for name, ordinals in ports.items()}
        return OpenNode(node, now, items, ports)

    def scope_of(self, opened: OpenNode) -> Callable[[int | None], Scope]:
        """What the node's expressions see for an input item, by its ordinal (None: for none)."""
        items, read = opened.items, opened.node.params.node_keys
        names: Mapping[str, Any] = {}

        def scope(ordinal: int | None) -> Scope:
            nonlocal names
            # Made when first asked for: a node without expressions never asks.
            names = seen = names or {**self._names, "now": opened.started_at.astimezone(self._zone)}
            if read:
                seen = {**names, "node": NodeViews(self._plan, self._produced, opened.node, ordinal)}
            if ordinal is None:
                return Scope({}, 0, seen)
            item = items[ordinal]
            if item.error is not None:
                seen = {**seen, "error": item.error.to_json()}
            return Scope(item.json, ordinal, seen)

        return scope
