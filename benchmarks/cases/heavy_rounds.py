"""`flow.for_each` over a body that computes 50 ms an item, on two cores: in one process, in the pool, and on Ray.

*A light body* is one node that nobody declared to be heavy: the engine measures its first rounds, and gives the others
away in chunks. *A heavy node* is declared so, and each of its runs is one segment; `concurrency` is 4. Both against the
same work one item after the other in this process, by turns.
"""

import asyncio
import functools
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.figure import Figure, typical
from budflow.execution.inprocess import InProcessExecutor
from budflow.execution.ports import Executor
from budflow.execution.process_pool import ProcessPool
from budflow.model.item import Json
from budflow.settings import Settings
from ray_jobs.open import open_ray
from tests.execution.burning_nodes import each
from tests.execution.heavy_nodes import open_test_runner
from tests.execution.office import RUNNER, Flow, Office
from tests.until import until

TITLE = "Bodies that compute, on several cores"
CORES = 2
ITEMS = 100
ROUNDS = 3
SECONDS = 0.050
GOAL = 1.8
LIGHT: Json = each({"a": {"type": "test.burn", "params": {"seconds": SECONDS}}})
HEAVY: Json = each({"a": {"type": "test.heavy_burn", "params": {"seconds": SECONDS}}}, concurrency=4)


async def measure() -> list[Figure]:
    """Both kinds of body, in the pool and on Ray."""
    figures: list[Figure] = []
    for where, opened in (("the process pool", _pool), ("Ray", _ray)):
        async with _here() as here, opened() as there:
            for what, body in (("a light body", LIGHT), ("a heavy node", HEAVY)):
                await _seconds(there, body)  # Its processes start.
                one, several = [], []
                for _ in range(ROUNDS):
                    one.append(await _seconds(here, body))
                    several.append(await _seconds(there, body))
                figures.append(_figure(f"{what}, {where}", one, several))
    return figures


def _figure(name: str, one: Sequence[float], several: Sequence[float]) -> Figure:
    times = typical([before / after for before, after in zip(one, several, strict=True)])
    shown = f"{typical(one):.2f} s to {typical(several):.2f} s: {times:.2f} times"
    return Figure(name, shown, f"≥ {GOAL:g} times", times >= GOAL)


async def _seconds(office: Office, body: Json) -> float:
    flow = Flow({"each": body}, ["start > each"], [{"n": number} for number in range(ITEMS)])
    began = time.perf_counter()
    active = await office.run(flow)
    spent = time.perf_counter() - began
    assert active.finished is not None and active.finished.status == "succeeded", active.finished
    assert [item["n"] for item in active.result().to_json()] == list(range(ITEMS))
    return spent


@asynccontextmanager
async def _here() -> AsyncIterator[Office]:
    async with _office(InProcessExecutor(open_test_runner().tools, RUNNER)) as office:
        yield office


@asynccontextmanager
async def _pool() -> AsyncIterator[Office]:
    pool = ProcessPool(functools.partial(open_test_runner, ()), CORES)
    async with _office(InProcessExecutor(open_test_runner(heavy=pool).tools, RUNNER)) as office:
        yield office
    await pool.close()


@asynccontextmanager
async def _ray() -> AsyncIterator[Office]:
    with TemporaryDirectory(prefix="budflow-bench-") as folder:
        settings = Settings(data_dir=Path(folder), ray_dashboard=False)
        executor = await asyncio.to_thread(open_ray, settings, RUNNER, open_test_runner, num_cpus=CORES)
        async with _office(executor) as office:
            yield office


@asynccontextmanager
async def _office(executor: Executor) -> AsyncIterator[Office]:
    office = Office(executor)
    await office.supervisor.start()
    await until(lambda: not office.supervisor.intake.queued)
    yield office
    await office.supervisor.stop(0.1)
