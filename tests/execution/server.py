"""A supervisor over a store in memory, and workflows saved and started on it."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from budflow.execution.active import Active
from budflow.execution.inprocess import InProcessExecutor
from budflow.execution.plans import PlanCache
from budflow.execution.records import JournalWrite
from budflow.execution.supervisor import Supervisor
from budflow.execution.tools import Tools
from budflow.model import event as e
from budflow.model.execution import TERMINAL, Execution
from budflow.model.identity import new_id, utc_now
from budflow.model.item import ItemList, Json
from budflow.model.journal import decode
from budflow.model.workflow import VersionRecord, WorkflowRecord
from budflow.scaling.wakes_here import WakesHere
from budflow.storage.memory.store import MemoryStore
from tests.execution.fakes import PLACE, REGISTRY, FakeHttp, until
from tests.execution.vault import Vault


class CountingStore(MemoryStore):
    """A store in memory that counts its writes and can hold them up."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[JournalWrite] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def append(self, write: JournalWrite) -> None:
        self.writes.append(write)
        await self.gate.wait()
        await super().append(write)


@dataclass
class Server:
    """A supervisor and what stands around it."""

    store: CountingStore
    plans: PlanCache
    supervisor: Supervisor
    http: FakeHttp
    executor: InProcessExecutor
    vault: Vault

    async def save(self, workflow_id: str, nodes: Mapping[str, Any], edges: Sequence[str], **settings: Any) -> None:
        """Store a workflow and publish it."""
        now = utc_now()
        pairs = [edge.split(" > ") for edge in edges]
        document = {
            "format": 1,
            "name": workflow_id,
            "nodes": {"start": {"type": "trigger.manual"}, **nodes},
            "edges": [{"from": a, "to": b} for a, b in pairs],
            "settings": settings,
        }
        record = WorkflowRecord(workflow_id, "default", workflow_id, 1, None, now, now)
        await self.store.add_workflow(record, VersionRecord(workflow_id, "default", 1, document, now, "test"))
        await self.store.publish("default", workflow_id, 1, [])

    async def submit(self, workflow_id: str, items: Sequence[Json] = ({},), **more: Any) -> tuple[str, Active | None]:
        """Start an execution; its id, and what is active of it."""
        version, plan = await self.plans.get_to_run("default", workflow_id)
        execution = Execution(new_id("exe"), "default", workflow_id, 1, "api", "queued", utc_now())
        admitted = e.Admitted(utc_now(), "start", "api", "test", ItemList.of(items))
        return execution.id, await self.supervisor.submit(execution, admitted, version, plan, **more)

    async def row(self, execution_id: str) -> Execution:
        """The stored row."""
        row = await self.store.get_execution("default", execution_id)
        assert row is not None
        return row

    async def events(self, execution_id: str) -> list[e.Event]:
        """The stored journal."""
        return [decode(row) for row in await self.store.read_events("default", execution_id)]

    async def ended(self, execution_id: str) -> Execution:
        """Wait until the row is terminal."""
        async with asyncio.timeout(5):
            while (await self.row(execution_id)).status not in TERMINAL:  # noqa: ASYNC110 - the store tells nobody
                await asyncio.sleep(0.002)
        return await self.row(execution_id)


@asynccontextmanager
async def serving(*, claims: bool = True) -> AsyncIterator[Server]:
    """A server with room for three executions, and five more in its queue, which it claims from or leaves to others."""
    store, http = CountingStore(), FakeHttp()
    plans = PlanCache(store, REGISTRY)
    executor = InProcessExecutor(Tools(PLACE, http), "run_1")
    vault = Vault()
    supervisor = Supervisor(
        store,
        plans,
        executor,
        runner="run_1",
        running_max=3,
        queued_max=5,
        credentials=vault,
        wakes=WakesHere(),
        claims=claims,
    )
    await supervisor.start()
    await until(lambda: not supervisor.intake.queued)
    yield Server(store, plans, supervisor, http, executor, vault)
    await supervisor.stop(0.1)


SET = {"set": {"type": "data.set", "params": {"values": {"x": 1}}}}
CALL = {"call": {"type": "http.request", "params": {"url": "https://example.com/"}}}


def hang(server: Server) -> asyncio.Event:
    """Make every HTTP request wait for the event."""
    release = asyncio.Event()

    async def wait() -> int:
        await release.wait()
        return 200

    server.http._answer = lambda _request: wait()
    return release
