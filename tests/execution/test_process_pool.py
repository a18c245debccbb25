"""Heavy segments in processes of this machine: few, kept, and replaced when they die."""

import asyncio
import functools
from collections.abc import AsyncIterator
from typing import Any

import pytest

from budflow.execution.node_result import NodeResult, NodeRun
from budflow.execution.ports import Work
from budflow.execution.process_pool import ProcessPool
from budflow.expressions.evaluate import Scope
from budflow.graph.plan import compile_plan
from budflow.graph.validate import check
from budflow.model.execution import Execution, Place
from budflow.model.identity import utc_now
from budflow.model.item import Item
from tests.execution.fakes import FakeHttp
from tests.execution.heavy_nodes import TESTING, open_test_runner
from tests.execution.office import Flow


@pytest.fixture
async def pool() -> AsyncIterator[ProcessPool]:
    pool = ProcessPool(functools.partial(open_test_runner, ()), size=1)
    yield pool
    await pool.close()


async def run(pool: ProcessPool, node: dict[str, Any]) -> tuple[NodeResult, Place]:
    document = Flow({"it": node}, ["start > it"]).document("test")
    plan = compile_plan(check(document, TESTING).require("run"), TESTING)
    execution = Execution("exe_1", "default", "wf_1", 1, "api", "running", utc_now())
    item = Item({})
    node_run = NodeRun(
        node=plan.nodes[plan.index["it"]],
        items=[item],
        ports={"main": range(1)},
        scope=lambda ordinal: Scope({}, 0, {"now": utc_now()}),
        now=utc_now(),
        effect_scope="exe_1",
        http=FakeHttp(),
        on_retry=lambda *told: None,
    )
    return await pool.run(Work(execution, document, plan, ()), node_run)


def pid_in(result: NodeResult) -> int:
    [item] = result.ports["main"][0]
    return int(item.json["pid"])


async def test_one_process_runs_one_segment_after_the_other(pool: ProcessPool) -> None:
    (first, place), (second, _) = await asyncio.gather(*(run(pool, {"type": "test.where"}) for _ in range(2)))

    assert pid_in(first) == pid_in(second) == place.pid


async def test_a_process_that_died_is_replaced(pool: ProcessPool) -> None:
    before, _ = await run(pool, {"type": "test.where"})

    died, _ = await run(pool, {"type": "test.die"})
    after, _ = await run(pool, {"type": "test.where"})

    assert died.failed[0].code == "node.process_died"
    assert pid_in(after) != pid_in(before)


async def test_a_cancelled_segment_frees_its_place(pool: ProcessPool) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await run(pool, {"type": "test.block", "params": {"seconds": 60}})

    async with asyncio.timeout(10):
        result, _ = await run(pool, {"type": "test.where"})
    assert not result.failed


async def test_a_time_limit_ends_a_computation(pool: ProcessPool) -> None:
    result, _ = await run(pool, {"type": "test.block", "params": {"seconds": 60}, "timeout_seconds": 0.1})

    assert result.failed[0].code == "node.timed_out"
