"""A supervisor over a real database, with a source of credentials, nodes that give them away, and an outside."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from budflow.execution.active import Active
from budflow.execution.heavy import Heavy
from budflow.execution.inprocess import InProcessExecutor
from budflow.execution.plans import PlanCache
from budflow.execution.supervisor import Supervisor
from budflow.execution.tools import Tools
from budflow.model import event as e
from budflow.model.credential import CredentialUse
from budflow.model.execution import TERMINAL, Execution, Mode
from budflow.model.identity import new_id, utc_now
from budflow.model.item import ItemList, Json
from budflow.model.journal import decode
from budflow.model.workflow import VersionRecord, WorkflowRecord
from budflow.nodes.registry import Registry, build
from budflow.scaling.wakes_here import WakesHere
from budflow.storage.sqlite.store import SqliteStore
from tests.canaries.canary import Search
from tests.execution.fakes import PLACE, FakeHttp
from tests.execution.vault import Vault, door, heavy_send, join, send

SECRET = 'tôken "of" 64/bits+'
TYPES = Registry([*build().types(), door, heavy_send, join, send])
SEND = {"type": "test.send", "credentials": {"auth": "crm"}}
IN_TIME_SECONDS = 1


@dataclass
class Bank:
    """What a test needs of it. `outside` answers requests; `sent` is what it was sent, with what was durable then."""

    path: Path
    store: SqliteStore
    plans: PlanCache
    supervisor: Supervisor
    http: FakeHttp
    vault: Vault
    authors: dict[str, str] = field(default_factory=dict)

    async def save(self, name: str, nodes: Mapping[str, Any], edges: Sequence[str], **settings: Any) -> None:
        """Store a workflow and publish it."""
        now = utc_now()
        trigger = {} if any(node["type"] == "test.door" for node in nodes.values()) else {"type": "trigger.manual"}
        pairs = [edge.split(" > ") for edge in edges]
        document = {
            "format": 1,
            "name": name,
            "nodes": {**({"start": trigger} if trigger else {}), **nodes},
            "edges": [{"from": source, "to": target} for source, target in pairs],
            "settings": settings,
        }
        author = self.authors.get(name, "ann")
        record = WorkflowRecord(name, "default", name, 1, None, now, now)
        await self.store.add_workflow(record, VersionRecord(name, "default", 1, document, now, author))
        await self.store.publish("default", name, 1, [])

    async def start(
        self,
        name: str,
        items: Sequence[Json] = ({},),
        *,
        trigger: str = "start",
        mode: Mode = "api",
        durable: bool = True,
        credentials: Mapping[str, str] = {},
    ) -> Active:
        """Begin an execution of it, for bob; its trigger's door has used these credentials."""
        version, plan = await self.plans.get_to_run("default", name)
        execution = Execution(new_id("exe"), "default", name, 1, mode, "queued", utc_now())
        admitted = e.Admitted(utc_now(), trigger, mode, "bob", ItemList.of(items), credentials=credentials)
        active = await self.supervisor.submit(execution, admitted, version, plan, durable=durable)
        assert active is not None
        return active

    async def run(
        self,
        nodes: Mapping[str, Any],
        edges: Sequence[str],
        items: Sequence[Json] = ({},),
        *,
        trigger: str = "start",
        mode: Mode = "api",
        **settings: Any,
    ) -> list[e.Event]:
        """Run a workflow to its end; its journal."""
        await self.save("flow", nodes, edges, **settings)
        active = await self.start("flow", items, trigger=trigger, mode=mode)
        async with asyncio.timeout(10):
            await active.ended
        return await self.events(active.execution.id)

    async def end_of(self, execution_id: str) -> str:
        """Wait until the row is terminal; its status."""
        async with asyncio.timeout(10):
            while True:
                row = await self.store.get_execution("default", execution_id)
                if row is not None and row.status in TERMINAL:
                    return row.status
                await asyncio.sleep(0.01)

    async def events(self, execution_id: str) -> list[e.Event]:
        """What is durable of an execution."""
        return [decode(row) for row in await self.store.read_events("default", execution_id)]

    async def uses(self, credential_id: str = "crd_crm") -> list[CredentialUse]:
        """The audit, the oldest first."""
        page = await self.store.list_credential_uses("default", credential_id, limit=100)
        return [*reversed(page.uses)]

    def leaked(self) -> list[str]:
        """Where the secret stands in the database, in any form; the credential's id, which may, is found there."""
        search = Search([SECRET, "crd_crm"])
        search.files(self.path.parent)
        assert search.hits
        return [hit for hit in search.hits if SECRET in hit]


@asynccontextmanager
async def banking(folder: Path, heavy: Heavy | None = None) -> AsyncIterator[Bank]:
    """A server on a database in this folder."""
    path = folder / "budflow.db"
    store, http, vault = await SqliteStore.open(path), FakeHttp(), Vault(crm=SECRET)
    plans = PlanCache(store, TYPES)
    executor = InProcessExecutor(Tools(PLACE, http, heavy=heavy), "run_1")
    supervisor = Supervisor(
        store,
        plans,
        executor,
        runner="run_1",
        running_max=9,
        queued_max=9,
        credentials=vault,
        wakes=WakesHere(),
    )
    await supervisor.start()
    try:
        yield Bank(path, store, plans, supervisor, http, vault)
    finally:
        vault.gate.set()
        await supervisor.stop(0.1)
        await store.close()


def of(kind: type, events: Sequence[e.Event]) -> list[Any]:
    """The events of one kind."""
    return [event for event in events if isinstance(event, kind)]
