"""Heavy segments handed to Ray from this process instead of an actor."""

import asyncio
import functools
from pathlib import Path
from typing import Any

import orjson
import pytest

from budflow.execution.ports import Work
from budflow.execution.run import Run
from budflow.graph.plan import compile_plan
from budflow.graph.validate import check
from budflow.model import event as e
from budflow.model.execution import Execution, Place
from budflow.model.identity import utc_now
from budflow.model.item import ItemList
from ray_jobs.executor import RayExecutor
from ray_jobs.segments import RaySegments
from tests.execution.fakes import FakeLink
from tests.execution.heavy_nodes import TESTING, open_test_runner
from tests.execution.office import Flow
from tests.ray_jobs.test_runner import packed
from tests.until import until

pytestmark = [pytest.mark.ray, pytest.mark.xdist_group("ray")]


@pytest.fixture(autouse=True)
def _ray(ray_executor: RayExecutor) -> None:
    """Ray is up."""


def begin(node: dict[str, object], heavy: RaySegments | None = None, **row: Any) -> tuple[Run, FakeLink]:
    """`row` are fields of the execution."""
    document = Flow({"it": node}, ["start > it"], [{"n": 2}, {"n": 1}]).document("test")
    plan = compile_plan(check(document, TESTING).require("run"), TESTING)
    now, link = utc_now(), FakeLink()
    execution = Execution("exe_1", "default", "wf_1", 1, "api", "running", now, **row)
    admitted = e.Admitted(now, "start", "api", "test", ItemList.of([{"n": 2}, {"n": 1}]))
    heavy = heavy or RaySegments(functools.partial(open_test_runner, ()))
    tools = open_test_runner((), Place("ray", "here", 1), heavy).tools
    run = Run(Work(execution, document, plan, (admitted,)), link, tools, "run_1")
    run.start()
    return run, link


async def failure_of(node: dict[str, object]) -> e.NodeFailed:
    run, link = begin(node)
    await run.wait()
    [failed] = link.of(e.NodeFailed)
    assert isinstance(failed, e.NodeFailed)
    return failed


async def test_a_segment_runs_in_a_worker_of_ray() -> None:
    run, link = begin({"type": "data.sort", "params": {"by": [{"field": "n"}]}, "resources": {"num_cpus": 0.5}})
    await run.wait()

    [_, finished] = link.of(e.NodeFinished)
    assert finished.outputs["main"].to_json() == [{"n": 1}, {"n": 2}]
    assert finished.place.executor == "ray"
    assert finished.place.ray_node


async def test_what_no_node_has_is_refused_with_what_there_is() -> None:
    failed = await failure_of({"type": "test.where", "resources": {"num_cpus": 64, "license": 1}})

    assert failed.failure.code == "ray.resources_infeasible"
    assert "num_cpus=64, license=1" in failed.failure.message
    assert "num_cpus=2" in failed.failure.message


async def test_resources_by_rays_own_names_are_refused() -> None:
    assert (await failure_of({"type": "test.where", "resources": {"CPU": 1}})).failure.code == (
        "ray.resources_infeasible"
    )


async def test_the_death_of_a_worker_fails_the_node() -> None:
    assert (await failure_of({"type": "test.die"})).failure.code == "ray.segment_lost"


async def test_a_computation_is_ended_when_its_time_is_up() -> None:
    block = {"type": "test.block", "params": {"seconds": 60}, "timeout_seconds": 0.1}

    assert (await failure_of(block)).failure.code == "node.timed_out"


async def test_cancelling_ends_the_worker(tmp_path: Path) -> None:
    mark = tmp_path / "begun"
    run, link = begin({"type": "test.block", "params": {"seconds": 60, "mark": str(mark)}})
    async with asyncio.timeout(20):
        while not mark.exists():  # noqa: ASYNC110 - another process makes the file
            await asyncio.sleep(0.01)

    run.deliver(e.CancelRequested(utc_now(), "test"))
    await run.wait()

    assert link.end.status == "cancelled"


@pytest.mark.parametrize(("takeovers", "given_up"), [(1, True), (0, False)])
async def test_what_was_taken_over_is_given_up_by_the_actor_that_had_it(
    ray_executor: RayExecutor, tmp_path: Path, takeovers: int, given_up: bool
) -> None:
    mark, actor = tmp_path / "begun", ray_executor.pool.runners[0].actor
    block = {"type": "test.block", "params": {"seconds": 60, "mark": str(mark)}, "resources": {"num_cpus": 2}}
    before = Execution("exe_1", "default", "wf_1", 1, "api", "running", utc_now(), token=3)
    admitted = e.Admitted(utc_now(), "start", "api", "test", ItemList.of([{}]))
    document = orjson.dumps(Flow({"block": block}, ["start > block"]).document("test"))
    await actor.begin.remote(packed(before, admitted), document)
    await until(mark.exists, seconds=20)

    # It needs the CPUs that the other one has, for another minute.
    run, link = begin({"type": "test.where", "resources": {"num_cpus": 2}}, token=4, takeovers=takeovers)
    if given_up:
        async with asyncio.timeout(20):
            await run.wait()
        assert link.end.status == "succeeded"
    assert await actor.drop.remote("exe_1") is not given_up
    run.let_go()
