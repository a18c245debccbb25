"""A supervisor over a real database in this process, for cases that measure executions without HTTP."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from budflow.app import Runtime, open_runtime
from budflow.execution import interpreter
from budflow.model.item import ItemList, Json
from budflow.model.principal import OWNER
from budflow.services.create_workflow import CreateWorkflow, create_workflow
from budflow.services.trigger_workflow import TriggerEvent, trigger_workflow
from budflow.settings import Settings
from tests.servers import PostgresServer, new_database

#: A store on disk, with full sync; None in place of a URL is SQLite.
SQLITE, POSTGRES = "SQLite", "PostgreSQL"


@dataclass(frozen=True, slots=True)
class Engine:
    """A running engine that workflows can be added to."""

    runtime: Runtime

    async def add(self, document: Mapping[str, Any]) -> str:
        """Store a workflow; returns its id."""
        saved = await create_workflow(self.runtime.services, OWNER, CreateWorkflow(document=dict(document)))
        return saved.workflow.id

    async def run(self, workflow_id: str, items: ItemList) -> tuple[float, ItemList]:
        """Seconds from the admission of one execution to its durable end, and its result."""
        began = time.perf_counter()
        event = TriggerEvent(workflow_id, items, "api", version=1, durable=False)
        triggered = await trigger_workflow(self.runtime.services, OWNER, event)
        assert triggered.active is not None
        await triggered.active.ended
        spent = time.perf_counter() - began
        finished = triggered.active.finished
        assert finished is not None and finished.status == "succeeded", finished
        return spent, triggered.active.result()


@asynccontextmanager
async def open_engine(database_url: str | None = None) -> AsyncIterator[Engine]:
    """An engine over this PostgreSQL database, or over a new SQLite file."""
    with TemporaryDirectory(prefix="budflow-bench-") as folder:
        settings = Settings(data_dir=Path(folder), database_url=database_url)
        interpreter.tune()  # As a server does.
        async with open_runtime(settings, "mcp") as runtime:
            interpreter.keep()
            yield Engine(runtime)


@asynccontextmanager
async def open_postgres() -> AsyncIterator[PostgresServer]:
    """PostgreSQL from its wheel, which waits for the disk as in production."""
    server = await asyncio.to_thread(PostgresServer.start, durable=True)
    try:
        yield server
    finally:
        await asyncio.to_thread(server.stop)


@asynccontextmanager
async def databases() -> AsyncIterator[Mapping[str, str | None]]:
    """Both databases by name, each empty, with the URL for `open_engine`."""
    async with open_postgres() as server:
        yield {SQLITE: None, POSTGRES: await new_database(server)}


def chain(name: str, *steps: Json) -> Json:
    """A document: a manual trigger, and these nodes one after the other."""
    nodes = {"start": {"type": "trigger.manual"}, **{f"step{number}": step for number, step in enumerate(steps)}}
    edges = [{"from": out_of(nodes[one], one), "to": other} for one, other in pairwise(nodes)]
    return {"format": 1, "name": name, "nodes": nodes, "edges": edges}


def out_of(node: Json, key: str) -> str:
    """The port by which the items of the cases go on."""
    return f"{key}.true" if node["type"] == "flow.if" else key


def setting(**values: Any) -> Json:
    """A `data.set` node."""
    return {"type": "data.set", "params": {"values": values}}


def orders(count: int) -> ItemList:
    """Small items, as shops have them."""
    return ItemList.of([{"id": number, "customer": "Ada", "total": number % 200} for number in range(count)])


async def rounds(engine: Engine, workflow_id: str, items: ItemList, count: int) -> Sequence[float]:
    """The times of `count` executions, after one that warms up."""
    await engine.run(workflow_id, items)
    return [(await engine.run(workflow_id, items))[0] for _ in range(count)]
