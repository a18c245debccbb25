"""A supervisor with any executor over a store in memory, and executions as what is comparable of their journals."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

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
from budflow.model.path import path_of
from budflow.model.workflow import VersionRecord, WorkflowRecord
from budflow.scaling.wakes_here import WakesHere
from budflow.services.ports import Store
from budflow.storage.memory.store import MemoryStore
from tests.execution.heavy_nodes import TESTING
from tests.execution.vault import Vault

RUNNER = "run_test"
#: What differs from run to run: times, ids and places.
VARYING = {"started_at", "execution_id", "runner", "place", "parent", "principal", "log", "until", "due"}
#: What is told before a node's end, or twice, depends on how long things take, as does who takes up what only waited.
MATTERS_OF_TIME = (e.Started, e.NodeLogged, e.ItemsStarted, e.ItemsFinished, e.ResultIgnored)


class Runnable(Protocol):
    """A workflow to be saved and run: what its trigger brings in, and the workflows that it calls, by id."""

    @property
    def items(self) -> Sequence[Json]: ...

    @property
    def callees(self) -> Mapping[str, "Runnable"]: ...

    @property
    def trigger(self) -> str: ...

    def document(self, name: str) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Flow:
    """A workflow: nodes, edges written as `a.port > b.port`, and the workflows that it calls, by id."""

    nodes: Mapping[str, Any]
    edges: Sequence[str]
    items: Sequence[Json] = ({},)
    callees: Mapping[str, Runnable] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    trigger: str = "start"

    def document(self, name: str) -> dict[str, Any]:
        pairs = [edge.split(" > ") for edge in self.edges]
        return {
            "format": 1,
            "name": name,
            "nodes": {"start": {"type": "trigger.manual"}, **self.nodes},
            "edges": [{"from": source, "to": target} for source, target in pairs],
            "settings": dict(self.settings),
        }


class Desk:
    """Saves workflows and has them run, over a store and by whoever claims in it."""

    def __init__(self, store: Store, plans: PlanCache, supervisor: Supervisor) -> None:
        self.store, self.plans, self.supervisor = store, plans, supervisor

    async def submit(self, flow: Runnable, name: str | None = None) -> tuple[str, Active | None]:
        """Save a workflow and submit an execution of it: its id, and the execution itself where it begins here."""
        name = name or new_id("wf")
        await self._save(flow, name)
        version, plan = await self.plans.get_to_run("default", name)
        execution = Execution(new_id("exe"), "default", name, 1, "api", "queued", utc_now())
        admitted = e.Admitted(utc_now(), flow.trigger, "api", "test", ItemList.of(flow.items))
        return execution.id, await self.supervisor.submit(execution, admitted, version, plan)

    async def events(self, execution_id: str) -> list[e.Event]:
        return [decode(row) for row in await self.store.read_events("default", execution_id)]

    async def started(self, execution_id: str) -> e.Started:
        """Where an execution was taken up."""
        return next(event for event in await self.events(execution_id) if isinstance(event, e.Started))

    async def comparable(self, execution_id: str) -> dict[str, list[Any]]:
        """The journal without what varies, in order by run of a node; the journals of callees stand inside."""
        by_run: dict[str, list[Any]] = {}
        for event in await self.events(execution_id):
            if isinstance(event, MATTERS_OF_TIME):
                continue
            shape = orjson.loads(encode(0, event).payload)
            path = path_of(shape["node"], tuple(shape.get("rounds", ()))) if "node" in shape else ""
            story = by_run.setdefault(path, [])
            story.append({"type": event.TYPE, **{k: _comparable(v) for k, v in shape.items() if k not in VARYING}})
            if isinstance(event, e.ChildStarted):
                story.append(await self.comparable(event.execution_id))
        return by_run

    async def logged(self, execution_id: str) -> list[tuple[str, str, str, int | None, int]]:
        """What its nodes logged, in order: node, level, message, item, attempt."""
        return [
            (getattr(event, "node", ""), line.level, line.message, line.item, line.attempt)
            for event in await self.events(execution_id)
            for line in getattr(event, "log", ())
        ]

    async def _save(self, flow: Runnable, name: str) -> None:
        for callee_name, callee in flow.callees.items():
            if await self.store.get_workflow("default", callee_name) is None:
                await self._save(callee, callee_name)
        now = utc_now()
        record = WorkflowRecord(name, "default", name, 1, None, now, now)
        await self.store.add_workflow(record, VersionRecord(name, "default", 1, flow.document(name), now, "test"))
        await self.store.publish("default", name, 1, [])


class Office(Desk):
    """A desk that runs what it is given itself, over a store in memory."""

    def __init__(self, executor: Executor) -> None:
        self.vault = Vault()
        store = MemoryStore()
        plans = PlanCache(store, TESTING)
        supervisor = Supervisor(
            store,
            plans,
            executor,
            runner=RUNNER,
            running_max=1000,
            queued_max=1000,
            credentials=self.vault,
            wakes=WakesHere(),
        )
        super().__init__(store, plans, supervisor)

    async def start(self, flow: Runnable, name: str | None = None) -> Active:
        """Save and begin a workflow."""
        _, active = await self.submit(flow, name)
        assert active is not None
        return active

    async def run(self, flow: Runnable) -> Active:
        """Save a workflow and run it to its end."""
        active = await self.start(flow)
        await active.ended
        return active


def _comparable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _comparable(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_comparable(inner) for inner in value]
    return re.sub(r"(exe|wf|crd)_([0-9a-f]{32}|crm)", r"\1", value) if isinstance(value, str) else value
