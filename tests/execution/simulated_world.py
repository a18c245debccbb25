"""A world for simulations: random workflows of real node types, a store that fails and an outside that misbehaves."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from budflow.egress.transport import ConnectFailed
from budflow.errors import BudflowError
from budflow.execution.inprocess import InProcessExecutor
from budflow.execution.plans import PlanCache
from budflow.execution.ports import JournalWrite
from budflow.execution.run import Tools
from budflow.execution.supervisor import Supervisor
from budflow.model import event as e
from budflow.model.execution import Execution
from budflow.model.http import HttpRequest, HttpResponse
from budflow.model.identity import new_id, utc_now
from budflow.model.item import ItemList, Json
from budflow.model.journal import decode
from budflow.model.workflow import VersionRecord, WorkflowRecord
from budflow.storage.errors import StorageUnavailable
from budflow.storage.memory.store import MemoryStore
from tests.execution.fakes import PLACE, REGISTRY

N = "($json?.n or 0)"
URL = "https://outside.example/{{ $execution.id }}/"
#: Node types with their parameters and output ports.
KINDS: Mapping[str, tuple[str, Json, tuple[str, ...]]] = {
    "add": ("data.set", {"values": {"n": "{{ " + N + " + 1 }}"}}, ("main",)),
    "divide": ("data.set", {"values": {"n": "{{ 12 // (" + N + " % 3) }}"}}, ("main",)),
    "if": ("flow.if", {"condition": "{{ " + N + " % 2 == 0 }}"}, ("true", "false")),
    "filter": ("flow.filter", {"condition": "{{ " + N + " > 1 }}"}, ("kept", "dropped")),
    "switch": (
        "flow.switch",
        {"cases": [{"port": "small", "when": "{{ " + N + " < 2 }}"}], "fallback": "port"},
        ("small", "fallback"),
    ),
    "merge": ("flow.merge", {}, ("main",)),
    "no_op": ("flow.no_op", {}, ("main",)),
    "count": ("data.aggregate", {"operations": [{"operation": "count", "name": "n"}]}, ("main",)),
    "get": ("http.request", {"url": URL}, ("main",)),
    "post": ("http.request", {"url": URL, "method": "POST"}, ("main",)),
    "respond": ("http.respond", {"body": "{{ $json }}"}, ("main",)),
    "respond_faulty": ("http.respond", {"body": "{{ 1 // " + N + " }}"}, ("main",)),
    "stop": ("flow.stop_and_error", {"message": "on purpose"}, ("main",)),
    "call": ("flow.sub_workflow", {"workflow": "callee"}, ("main",)),
}
RARE = {"stop", "divide", "respond_faulty"}


@dataclass(frozen=True)
class Faults:
    """How likely things go wrong: each request, each write, each execution, the whole server."""

    http: float = 0.0
    store: float = 0.0
    cancel: float = 0.0
    stop: float = 0.0


def random_document(random: Random, size: int, *, calls: bool) -> dict[str, Any]:
    """A workflow of up to `size` nodes behind its trigger, each fed by up to three earlier ones."""
    nodes: dict[str, Any] = {"start": {"type": "trigger.manual"}}
    ports: dict[str, tuple[str, ...]] = {"start": ("main",)}
    edges = []
    kinds = [kind for kind in KINDS for _ in range(2 if kind in RARE else 3) if calls or kind != "call"]
    for number in range(size):
        kind = random.choice(kinds)
        key = f"{kind}_{number}"
        name, params, outputs = KINDS[kind]
        node: dict[str, Any] = {"type": name, "params": params}
        if name == "http.request":
            node["params"] = {**params, "url": params["url"] + key}
            node["timeout_seconds"] = random.choice([0.5, 5, 60])
            node["retry"] = {"tries": random.choice([1, 2, 4]), "wait_seconds": random.choice([0, 1])}
        node["on_error"] = random.choice(["stop", "stop", "continue", "error_output"])
        for option, chance in (("disabled", 0.1), ("run_once", 0.1), ("run_on_empty", 0.2)):
            if random.random() < chance:
                node[option] = True
        for source in random.sample(list(nodes), min(len(nodes), random.choice([0, 1, 1, 1, 1, 1, 1, 2, 2, 3]))):
            port = random.choice((ports[source][0], *ports[source]))
            edges.append({"from": f"{source}.{port}", "to": key})
        ports[key] = (*outputs, "error") if node["on_error"] == "error_output" else outputs
        nodes[key] = node
    settings = {"timeout_seconds": random.choice([3, 30])} if random.random() < 0.2 else {}
    return {"format": 1, "name": "simulated", "nodes": nodes, "edges": edges, "settings": settings}


class FaultyStore(MemoryStore):
    """A store that takes its time and sometimes fails, or finds that another runner has taken over."""

    def __init__(self, random: Random, faults: Faults) -> None:
        super().__init__()
        self.random, self.faults, self.failed = random, faults, 0

    async def append(self, write: JournalWrite) -> None:
        await asyncio.sleep(self.random.choice([0, 0, 0.001, 0.05]))
        if self.random.random() < self.faults.store:
            self.failed += 1
            raise self.random.choice([StorageUnavailable(), RuntimeError("a defect of the store")])
        await super().append(write)

    def journal(self, execution_id: str) -> list[e.Event]:
        """What is durable of an execution."""
        rows = self._journals[execution_id]
        assert [row.seq for row in rows] == list(range(len(rows))), "a journal has gaps"
        return [decode(row) for row in rows]

    def executions(self) -> list[Execution]:
        """Every row."""
        return list(self._executions.values())


@dataclass
class Outside:
    """The world that effects happen in: answers late, with errors or never, and checks that it was announced."""

    random: Random
    faults: Faults
    store: FaultyStore
    unannounced: list[str] = field(default_factory=list)

    async def send(self, request: HttpRequest) -> HttpResponse:
        execution_id, node = request.url.split("/")[-2:]
        if not any(isinstance(x, e.NodeStarted) and x.node == node for x in self.store.journal(execution_id)):
            self.unannounced.append(request.url)
        await asyncio.sleep(self.random.choice([0, 0.01, 0.2]))
        if self.random.random() < self.faults.http:
            fault = self.random.choice(["never", "late", "refused", "defect", "cancelled"])
            if fault == "never":
                await asyncio.Event().wait()
            elif fault == "late":
                await asyncio.sleep(3)
            else:
                raise {
                    "refused": ConnectFailed("on purpose"),
                    "defect": RuntimeError("on purpose"),
                    "cancelled": asyncio.CancelledError(),
                }[fault]
        return HttpResponse(200, (("content-type", "application/json"),), b"{}", request.url)


class World:
    """A server with its store and the outside, all from one seed."""

    def __init__(self, seed: int, faults: Faults) -> None:
        self.random, self.faults = Random(seed), faults
        self.store = FaultyStore(self.random, faults)
        self.outside = Outside(self.random, faults, self.store)
        self.plans = PlanCache(self.store, REGISTRY)
        executor = InProcessExecutor(Tools(PLACE, self.outside), "run_1")
        self.supervisor = Supervisor(self.store, self.plans, executor, runner="run_1", running_max=2, queued_max=9)

    async def save(self, workflow_id: str, document: dict[str, Any]) -> None:
        """Store and publish a workflow."""
        now = utc_now()
        record = WorkflowRecord(workflow_id, "default", workflow_id, 1, None, now, now)
        await self.store.add_workflow(record, VersionRecord(workflow_id, "default", 1, document, now, "test"))
        await self.store.publish("default", workflow_id, 1, [])

    async def submit(self, items: list[Json]) -> str | None:
        """Start an execution of the workflow `caller`; None where the store refused it."""
        version, plan = await self.plans.get_to_run("default", "caller")
        execution = Execution(new_id("exe"), "default", "caller", 1, "api", "queued", utc_now())
        admitted = e.Admitted(utc_now(), "start", "api", "test", ItemList.of(items))
        durable = self.random.random() < 0.5
        try:
            await self.supervisor.submit(execution, admitted, version, plan, durable=durable)
        except (BudflowError, RuntimeError):
            return None
        return execution.id
