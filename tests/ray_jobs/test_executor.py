"""Executions on a real local Ray: where they run, and what becomes of them when an actor dies."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest

from budflow.model import event as e
from ray_jobs.executor import RayExecutor
from ray_jobs.pool import RunnerLost
from tests.egress.loopback import serving
from tests.execution.fakes import until
from tests.execution.office import Flow, Office
from tests.ray_session import RaySession

pytestmark = [pytest.mark.ray, pytest.mark.xdist_group("ray")]

NOTHING = Flow({"a": {"type": "flow.no_op"}}, ["start > a"], [{"a": 1}])
CALLING = Flow(
    {"call": {"type": "flow.sub_workflow", "params": {"workflow": "wf_called"}}},
    ["start > call"],
    callees={"wf_called": NOTHING},
)


@pytest.fixture
async def office(ray_executor: RayExecutor) -> AsyncIterator[Office]:
    office = Office(ray_executor)
    await office.supervisor.start()
    await until(lambda: not office.supervisor.intake.queued)
    async with asyncio.timeout(60):
        yield office
    await office.supervisor.stop(0.1)


async def test_an_execution_runs_in_a_runner_actor_of_another_process(
    office: Office, ray_executor: RayExecutor
) -> None:
    active = await office.run(NOTHING)

    place = (await office.started(active.execution.id)).place
    assert place.executor == "ray"
    assert place.pid != os.getpid()
    assert (place.actor, place.pid) in {(runner.name, runner.place.pid) for runner in ray_executor.pool.runners}
    assert place.ray_node


async def test_a_called_workflow_runs_on_another_actor_than_its_caller(office: Office) -> None:
    active = await office.run(CALLING)

    [child] = [event for event in await office.events(active.execution.id) if isinstance(event, e.ChildStarted)]
    above = (await office.started(active.execution.id)).place
    below = (await office.started(child.execution_id)).place
    assert above.actor != below.actor
    assert above.pid != below.pid


async def test_executions_spread_over_the_actors(office: Office, ray_executor: RayExecutor) -> None:
    async with serving() as loopback:
        loopback.answers["/"] = loopback.hang
        fetch = {"type": "http.request", "params": {"url": loopback.origin + "/"}}
        flow = Flow({"fetch": fetch}, ["start > fetch"])
        begun = [await office.start(flow) for _ in range(4)]
        assert [len(runner.executions) for runner in ray_executor.pool.runners] == [2, 2]

        for active in begun:
            await office.supervisor.cancel("default", active.execution.id, "test")
        await asyncio.gather(*(active.ended for active in begun))

    assert [len(runner.executions) for runner in ray_executor.pool.runners] == [0, 0]


async def test_the_death_of_an_actor_breaks_its_executions_and_new_ones_run_again(
    office: Office, ray_executor: RayExecutor
) -> None:
    async with serving() as loopback:
        loopback.answers["/"] = loopback.hang
        fetch = {"type": "http.request", "params": {"url": loopback.origin + "/"}}
        active = await office.start(Flow({"fetch": fetch}, ["start > fetch"]))
        await loopback.arrived.wait()
        place = (await office.started(active.execution.id)).place

        os.kill(place.pid, signal.SIGKILL)

        with pytest.raises(RunnerLost, match=str(place.pid)):
            await active.ended
    row = await office.store.get_execution("default", active.execution.id)
    assert row is not None
    assert row.status == "running"  # It stays unfinished, with its journal.
    assert [event.TYPE for event in await office.events(active.execution.id)] == [
        "execution.admitted",
        "execution.started",
        "node.finished",
        "node.started",
    ]

    afterwards = await asyncio.gather(*(office.run(NOTHING) for _ in range(4)))
    assert {other.finished.status for other in afterwards if other.finished} == {"succeeded"}
    [lost] = [runner for runner in ray_executor.pool.runners if runner.name == place.actor]
    await lost.alive.wait()
    assert lost.place.pid != place.pid


async def test_an_execution_that_met_an_actor_on_its_way_back_goes_to_another(
    office: Office, ray_executor: RayExecutor
) -> None:
    victim = ray_executor.pool.pick(apart_from=None)
    os.kill(victim.place.pid, signal.SIGKILL)

    active = await office.run(NOTHING)

    assert active.finished is not None
    assert active.finished.status == "succeeded"


async def test_resources_that_no_node_has_fail_the_node_at_once(office: Office) -> None:
    wants = {"type": "flow.no_op", "resources": {"num_gpus": 8}}

    active = await office.run(Flow({"wants": wants}, ["start > wants"]))

    assert active.finished is not None
    assert active.finished.failure is not None
    assert active.finished.failure.code == "ray.resources_infeasible"
    assert "num_gpus=8" in active.finished.failure.message


async def test_resources_that_ray_knows_by_another_name_fail_the_node(office: Office) -> None:
    wants = {"type": "flow.no_op", "resources": {"CPU": 1}}

    active = await office.run(Flow({"wants": wants}, ["start > wants"]))

    assert active.finished is not None
    assert active.finished.failure is not None
    assert active.finished.failure.code == "ray.resources_infeasible"


async def test_items_beyond_what_ray_passes_inline_reach_a_heavy_node(office: Office) -> None:
    items = [{"text": "x" * 1000, "n": n} for n in range(500)]
    sort = {"type": "data.sort", "params": {"by": [{"field": "n", "order": "desc"}]}, "resources": {"num_cpus": 1}}

    active = await office.run(Flow({"sort": sort}, ["start > sort"], items))

    assert active.result().to_json() == items[::-1]


async def test_the_status_tells_of_every_runner(ray_executor: RayExecutor, ray_session: RaySession) -> None:
    status = ray_executor.status()

    assert status["name"] == "ray"
    assert [runner["actor"] for runner in status["runners"]] == ["runner-0", "runner-1"]
    assert all(runner["alive"] for runner in status["runners"])
    assert status["resources"]["CPU"] == 2
