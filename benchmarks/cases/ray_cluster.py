"""Runner actors of `budflow worker --ray` on one Ray node, against runners without Ray, all over one PostgreSQL.

*Through an actor* is what a caller waits for a chain of ten light nodes: a server that claims nothing itself admits
it, an actor is told, claims it, runs it, and the server hears of its end. *In process* the server runs it itself, which
is one commit; through an actor there are three, one after the other (its admission, its claim, its end), two
notifications, and a read of the end. Where the server itself hands executions to actors, none of these is needed: see
*A 10-node chain on Ray*.
*A second* is a queue of light executions that is there all at once, from the first start to the last end as their rows
say: emptied by one `budflow worker`, by two, and by two actors.

Runners and database share two cores. Where an execution costs R of processor time in its runner and D in the database,
one runner can do 1 / R a second, and several 2 / (R + D), however they are started: that is the bound of two actors.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import asyncpg
import orjson

from benchmarks.cases.ray_chain import DOCUMENT
from benchmarks.engine import chain, open_postgres, setting
from benchmarks.figure import Figure, milliseconds, typical
from benchmarks.processor import seconds_of, seconds_of_family
from benchmarks.started import start_process, stop_process, workers
from budflow.app import Runtime, open_runtime
from budflow.model.identity import new_id
from budflow.model.item import ItemList
from budflow.model.principal import OWNER
from budflow.services.create_workflow import CreateWorkflow, create_workflow
from budflow.services.trigger_workflow import TriggerEvent, trigger_workflow
from budflow.services.wait_execution import wait_for_end
from budflow.settings import Settings
from tests.ray_cluster import RayCluster, ray_cluster
from tests.servers import PostgresServer, new_database

TITLE = "Runner actors on a Ray cluster"
CHAINS = 200
QUEUED = 2_000
ROUNDS = 3
MORE_SECONDS_GOAL = 0.004
SPEED_GOAL = 1.5
LIGHT = chain("Light", setting(x="{{ 1 }}"))


async def measure() -> list[Figure]:
    """How long a chain takes, and how many light executions a second end."""
    async with open_postgres() as server:
        url = await new_database(server)
        with TemporaryDirectory(prefix="budflow-bench-") as folder:
            own = Settings(data_dir=Path(folder), database_url=url)
            async with open_runtime(own, "mcp") as runtime:
                here = await _chains(runtime)
            with ray_cluster("--num-cpus=2") as cluster:
                async with open_runtime(own.model_copy(update={"claim": False}), "mcp") as runtime:
                    queue = await Queue.open(url, runtime, _main_process(server))
                    async with workers(own, 1) as pids:
                        one = await queue.rounds(pids)
                    async with workers(own, 2) as pids:
                        two = await queue.rounds(pids)
                    async with _actors(own, cluster) as pids:
                        actors = await queue.rounds(pids)
                        there = await _chains(runtime)
                    await queue.close()
    spent = [[chain.known - chain.asked for chain in chains] for chains in (here, there)]
    more, times = median(spent[1]) - median(spent[0]), _rate(actors) / _rate(one)
    bound = 2 / (_runner(actors) + _database(actors))
    return [
        Figure("a 10-node chain in process", milliseconds(spent[0])),
        Figure("through an actor", milliseconds(spent[1])),
        Figure("of that until an actor begins", milliseconds([chain.began - chain.asked for chain in there])),
        Figure("until it has ended", milliseconds([chain.ended - chain.began for chain in there])),
        Figure("until the caller knows", milliseconds([chain.known - chain.ended for chain in there])),
        Figure("an actor costs", f"{more * 1e3:.1f} ms more", "≤ 4 ms", more <= MORE_SECONDS_GOAL),
        Figure("executions a second, one worker", _shown(one)),
        Figure("two workers", f"{_shown(two)}, {_rate(two) / _rate(one):.2f} times"),
        Figure("two actors", f"{_shown(actors)}, {times:.2f} times", f"≥ {SPEED_GOAL:g} times", times >= SPEED_GOAL),
        Figure("what two cores allow: 2 / (R + D) of the actors", f"{bound:,.0f}/s, {bound / _rate(one):.2f} times"),
    ]


@dataclass(frozen=True, slots=True)
class Chain:
    """When, in seconds, one execution was asked for, began, ended, and was known by the caller to have ended."""

    asked: float
    began: float
    ended: float
    known: float


@dataclass(frozen=True, slots=True)
class Round:
    """A queue that was emptied: executions a second, and the seconds of processor time that each cost."""

    per_second: float
    runner: float
    database: float


def _rate(rounds: Sequence[Round]) -> float:
    return typical([one.per_second for one in rounds])


def _runner(rounds: Sequence[Round]) -> float:
    return typical([one.runner for one in rounds])


def _database(rounds: Sequence[Round]) -> float:
    return typical([one.database for one in rounds])


def _shown(rounds: Sequence[Round]) -> str:
    rates = [one.per_second for one in rounds]
    cost = f"R {_runner(rounds) * 1e3:.2f} ms, D {_database(rounds) * 1e3:.2f} ms"
    return f"{typical(rates):,.0f}/s ({min(rates):,.0f} to {max(rates):,.0f}; {cost})"


def _main_process(server: PostgresServer) -> int:
    return int((server.directory / "data" / "postmaster.pid").read_text(encoding="utf-8").split()[0])


async def _chains(runtime: Runtime) -> list[Chain]:
    """Chains one after the other, after one that warms up."""
    saved = await create_workflow(runtime.services, OWNER, CreateWorkflow(document=DOCUMENT))
    return [await _run_once(runtime, saved.workflow.id) for _ in range(CHAINS + 1)][1:]


async def _run_once(runtime: Runtime, workflow_id: str) -> Chain:
    began = time.time()
    event = TriggerEvent(workflow_id, ItemList.of([{"x": 0}]), "api", version=1)
    execution = (await trigger_workflow(runtime.services, OWNER, event)).execution
    await wait_for_end(runtime.services, execution, 60)
    known = time.time()
    row = await runtime.services.store.get_execution(execution.project_id, execution.id)
    assert row is not None and row.started_at is not None and row.finished_at is not None
    return Chain(began, row.started_at.timestamp(), row.finished_at.timestamp(), known)


class Queue:
    """Fills the queue at one stroke with copies of one admitted execution, and waits until it was worked off."""

    def __init__(
        self, connection: asyncpg.Connection, rows: Mapping[str, Sequence[Mapping[str, Any]]], database_pid: int
    ) -> None:
        self._connection, self._rows, self._database_pid = connection, rows, database_pid

    @staticmethod
    async def open(url: str, runtime: Runtime, database_pid: int) -> "Queue":
        """Admit the one that is copied, while nobody claims."""
        saved = await create_workflow(runtime.services, OWNER, CreateWorkflow(document=LIGHT))
        event = TriggerEvent(saved.workflow.id, ItemList.of([{"x": 0}]), "api", version=1)
        admitted = (await trigger_workflow(runtime.services, OWNER, event)).execution.id
        connection = await asyncpg.connect(url)
        rows = {
            "executions": await connection.fetch("SELECT * FROM executions WHERE id = $1", admitted),
            "events": await connection.fetch("SELECT * FROM events WHERE execution_id = $1", admitted),
        }
        await connection.execute("DELETE FROM events")
        await connection.execute("DELETE FROM executions")
        copied = {table: [dict(row) for row in found] for table, found in rows.items()}
        return Queue(connection, copied, database_pid)

    async def rounds(self, runners: Sequence[int]) -> list[Round]:
        """What the runners with these processes do, after one round that warms them up."""
        return [await self._round(runners) for _ in range(ROUNDS + 1)][1:]

    async def close(self) -> None:
        await self._connection.close()

    async def _round(self, runners: Sequence[int]) -> Round:
        ids = [new_id("exe") for _ in range(QUEUED)]
        async with self._connection.transaction():
            await self._copy("executions", "id", ids)
            await self._copy("events", "execution_id", ids)
        before = seconds_of(runners), seconds_of_family(self._database_pid)
        left = "SELECT count(*) FROM executions WHERE finished_at IS NULL"
        while await self._connection.fetchval(left):  # noqa: ASYNC110 - it is the database that knows
            await asyncio.sleep(0.1)
        micros = "SELECT max(finished_at) - min(started_at) FROM executions WHERE id = ANY($1)"
        spent = float(await self._connection.fetchval(micros, ids)) / 1e6
        after = seconds_of(runners), seconds_of_family(self._database_pid)
        await self._connection.execute("TRUNCATE executions, events")
        return Round(QUEUED / spent, *((end - begin) / QUEUED for begin, end in zip(before, after, strict=True)))

    async def _copy(self, table: str, key: str, ids: Sequence[str]) -> None:
        rows = self._rows[table]
        records = [tuple({**row, key: one}.values()) for one in ids for row in rows]
        await self._connection.copy_records_to_table(table, records=records, columns=list(rows[0]))


@asynccontextmanager
async def _actors(settings: Settings, cluster: RayCluster) -> AsyncIterator[Sequence[int]]:
    """Two actors, which a `budflow worker --ray` keeps; their processes."""
    process = await start_process(settings, cluster.environment(), "worker", "--ray", cluster.address)
    assert process.stdout is not None
    actors: list[dict[str, Any]] = []
    try:
        while [one["state"] for one in actors] != ["running"] * 2:
            actors = orjson.loads(await process.stdout.readline())["runners"]
        yield [one["pid"] for one in actors]
    finally:
        await stop_process(process)
