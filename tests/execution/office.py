"""A supervisor with any executor over a store in memory, and executions as what is comparable of their journals."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from budflow.execution.active import Active
from budflow.execution.plans import PlanCache
from budflow.execution.ports import Executor
from budflow.execution.supervisor import Supervisor
from budflow.model import event as e
from budflow.model.execution import Execution
from budflow.model.identity import new_id, utc_now
from budflow.model.item import ItemList, Json
from budflow.model.journal import decode, encode
from budflow.model.workflow import VersionRecord, WorkflowRecord
from budflow.scaling.wakes_here import WakesHere
from budflow.storage.memory.store import MemoryStore
from tests.execution.heavy_nodes import TESTING
from tests.execution.vault import Vault

RUNNER = "run_test"
#: What differs from run to run: times, ids and places.
VARYING = {"started_at", "execution_id", "runner", "place", "parent", "principal", "log"}


@dataclass(frozen=True)
class Flow:
    """A workflow: nodes, edges written as `a.port > b.port`, and the workflows that it calls, by id."""

    nodes: Mapping[str, Any]
    edges: Sequence[str]
    items: Sequence[Json] = ({},)
    callees: Mapping[str, "Flow"] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def document(self, name: str) -> dict[str, Any]:
        pairs = [edge.split(" > ") for edge in self.edges]
        return {
            "format": 1,
            "name": name,
            "nodes": {"start": {"type": "trigger.manual"}, **self.nodes},
            "edges": [{"from": source, "to": target} for source, target in pairs],
            "settings": dict(self.settings),
        }


class Office:
    """Saves workflows and runs them."""

    def __init__(self, executor: Executor) -> None:
        self.store = MemoryStore()
        self.plans = PlanCache(self.store, TESTING)
        self.vault = Vault()
        self.supervisor = Supervisor(
            self.store,
            self.plans,
            executor,
            runner=RUNNER,
            running_max=1000,
            queued_max=1000,
            credentials=self.vault,
            wakes=WakesHere(),
        )

    async def start(self, flow: Flow, name: str | None = None) -> Active:
        """Save and begin a workflow."""
        name = name or new_id("wf")
        await self._save(flow, name)
        version, plan = await self.plans.get_to_run("default", name)
        execution = Execution(new_id("exe"), "default", name, 1, "api", "queued", utc_now())
        admitted = e.Admitted(utc_now(), "start", "api", "test", ItemList.of(flow.items))
        active = await self.supervisor.submit(execution, admitted, version, plan)
        assert active is not None
        active.watchers += 1  # A test waits for its end: it is not given back while it rests.
        return active

    async def run(self, flow: Flow) -> Active:
        """Save a workflow and run it to its end."""
        active = await self.start(flow)
        await active.ended
        return active

    async def events(self, execution_id: str) -> list[e.Event]:
        return [decode(row) for row in await self.store.read_events("default", execution_id)]

    async def started(self, execution_id: str) -> e.Started:
        """Where an execution was taken up."""
        return next(event for event in await self.events(execution_id) if isinstance(event, e.Started))

    async def comparable(self, execution_id: str) -> dict[str, list[Any]]:
        """The journal without what varies, in order by node; the journals of callees stand inside."""
        by_node: dict[str, list[Any]] = {}
        for event in await self.events(execution_id):
            if isinstance(event, e.NodeLogged):
                continue  # Which lines come before the node's end is a matter of time: see `logged`.
            shape = orjson.loads(encode(0, event).payload)
            story = by_node.setdefault(shape.get("node") or "", [])
            story.append({"type": event.TYPE, **{k: _comparable(v) for k, v in shape.items() if k not in VARYING}})
            if isinstance(event, e.ChildStarted):
                story.append(await self.comparable(event.execution_id))
        return by_node

    async def logged(self, execution_id: str) -> list[tuple[str, str, str, int | None, int]]:
        """What its nodes logged, in order: node, level, message, item, attempt."""
        return [
            (getattr(event, "node", ""), line.level, line.message, line.item, line.attempt)
            for event in await self.events(execution_id)
            for line in getattr(event, "log", ())
        ]

    async def _save(self, flow: Flow, name: str) -> None:
        for callee_name, callee in flow.callees.items():
            if await self.store.get_workflow("default", callee_name) is None:
                await self._save(callee, callee_name)
        now = utc_now()
        record = WorkflowRecord(name, "default", name, 1, None, now, now)
        await self.store.add_workflow(record, VersionRecord(name, "default", 1, flow.document(name), now, "test"))
        await self.store.publish("default", name, 1, [])


def _comparable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _comparable(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_comparable(inner) for inner in value]
    return re.sub(r"(exe|wf)_[0-9a-f]{32}", r"\1", value) if isinstance(value, str) else value
