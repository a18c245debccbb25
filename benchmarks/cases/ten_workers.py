"""Windmill's published comparison with several workers, on this machine: 400 light and 100 long tasks over 10 workers.

There ([methodology](https://www.windmill.dev/docs/misc/benchmarks/competitors), 2025) a task is the naive Fibonacci
number: of 10, which computes for some microseconds, and of 33 (in Go, which is faster, 38). All are given to ten
workers at once, each a process that runs one at a time, in Go and on more cores than here: Temporal took 4.3 s and
11.2 s, Windmill 7.2 s and 11.9 s. Here a task is an execution of a workflow with one node, a worker is a `budflow
worker` as it is started without options, and all of it, PostgreSQL and the server that admits the tasks too, shares
this machine. The light node computes in the worker's event loop, the heavy one in a process of the worker's.

The time is from the first request to the last end. *Overhead* is what is left of it when the computing alone, measured
without BudFlow and divided by the cores, is taken off. *One after the other* is the comparison's other case: a single
workflow of 400 tasks, each after the one before (there, in Go: Windmill 19.7 s, Temporal 39.0 s).
"""

import asyncio
import os
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg

from benchmarks.engine import chain, open_engine, open_postgres
from benchmarks.fibonacci import fibonacci, installed
from benchmarks.figure import Figure, typical
from benchmarks.started import workers
from budflow.app import Runtime, open_runtime
from budflow.model.item import ItemList, Json
from budflow.model.principal import OWNER
from budflow.services.create_workflow import CreateWorkflow, create_workflow
from budflow.services.trigger_workflow import TriggerEvent, trigger_workflow
from budflow.settings import Settings
from tests.servers import new_database

TITLE = "Ten workers"
WORKERS = 10
LIGHT, LONG = 10, 33
LIGHT_TASKS, LONG_TASKS = 400, 100
ROUNDS = 3
LONG_ROUNDS = 1
OVERHEAD_GOAL = 0.5
LOOK_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Tasks:
    """So many tasks of a kind, and the seconds that one computes without BudFlow."""

    document: Json
    count: int
    each: float


async def measure() -> list[Figure]:
    """The total of each kind, and what of it is not the work's."""
    light = Tasks(chain("Light", _task("bench.fibonacci", LIGHT)), LIGHT_TASKS, _computing(LIGHT))
    long = Tasks(chain("Long", _task("bench.fibonacci_heavy", LONG)), LONG_TASKS, _computing(LONG))
    with installed() as variables:
        async with open_postgres() as server:
            url = await new_database(server)
            with TemporaryDirectory(prefix="budflow-bench-") as folder:
                settings = Settings(data_dir=Path(folder), database_url=url, claim=False)
                async with open_runtime(settings, "mcp") as runtime, workers(settings, WORKERS, variables):
                    together = Together(runtime, await asyncpg.connect(url))
                    light_seconds = await together.rounds(light, ROUNDS)
                    long_seconds = await together.rounds(long, LONG_ROUNDS)
                    await together.connection.close()
        one_by_one = await _one_by_one()
    return [
        *_figures("light", light, light_seconds, goal=True),
        *_figures("long", long, long_seconds),
        Figure(f"{LIGHT_TASKS} light tasks one after the other, in one workflow", f"{one_by_one:.2f} s"),
    ]


class Together:
    """Gives tasks to the workers, all at once, and waits for their ends."""

    def __init__(self, runtime: Runtime, connection: asyncpg.Connection) -> None:
        self._runtime, self.connection = runtime, connection

    async def rounds(self, tasks: Tasks, count: int) -> list[float]:
        """The seconds of so many rounds, after a small one in which every worker starts what it needs."""
        saved = await create_workflow(self._runtime.services, OWNER, CreateWorkflow(document=tasks.document))
        await self._round(saved.workflow.id, 8 * WORKERS)
        return [await self._round(saved.workflow.id, tasks.count) for _ in range(count)]

    async def _round(self, workflow_id: str, count: int) -> float:
        event = TriggerEvent(workflow_id, ItemList.of([{}]), "api", version=1)
        began = time.time()
        started = await asyncio.gather(*(trigger_workflow(self._runtime.services, OWNER, event) for _ in range(count)))
        left = "SELECT count(*) FROM executions WHERE finished_at IS NULL"
        while await self.connection.fetchval(left):  # noqa: ASYNC110 - it is the database that knows
            await asyncio.sleep(LOOK_SECONDS)
        ids = [one.execution.id for one in started]
        ended = (
            "SELECT max(finished_at), count(*) FILTER (WHERE status = 'succeeded') FROM executions WHERE id = ANY($1)"
        )
        last, succeeded = await self.connection.fetchrow(ended, ids)
        assert succeeded == count
        return float(last) / 1e6 - began


async def _one_by_one() -> float:
    async with open_engine() as engine:
        step = _task("bench.fibonacci", LIGHT)
        workflow_id = await engine.add(chain("One by one", *[step] * LIGHT_TASKS))
        items = ItemList.of([{}])
        await engine.run(workflow_id, items)
        return typical([(await engine.run(workflow_id, items))[0] for _ in range(ROUNDS)])


def _task(type_: str, n: int) -> Json:
    return {"type": type_, "params": {"n": n}}


def _computing(n: int) -> float:
    """The least of several, since what else the machine does can only add."""
    took = []
    for _ in range(3):
        began = time.thread_time()
        fibonacci(n)
        took.append(time.thread_time() - began)
    return min(took)


def _figures(kind: str, tasks: Tasks, seconds: list[float], *, goal: bool = False) -> list[Figure]:
    work = tasks.count * tasks.each / (os.cpu_count() or 1)
    total, overhead = typical(seconds), typical(seconds) - work
    spread = f" ({min(seconds):.2f} to {max(seconds):.2f})" if len(seconds) > 1 else ""
    return [
        Figure(f"{tasks.count} {kind} tasks, {WORKERS} workers", f"{total:.2f} s{spread}"),
        Figure(
            f"{kind}: overhead = total - work / cores",
            f"{overhead:.2f} s",
            f"≤ {OVERHEAD_GOAL:g} s" if goal else "",
            overhead <= OVERHEAD_GOAL if goal else None,
            f"the work takes {work:.2f} s",
        ),
    ]
