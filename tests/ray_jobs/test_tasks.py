"""The four tasks, on a real local Ray."""

import asyncio
import functools
import pickle
from pathlib import Path
from typing import Any

import orjson
import pytest
import ray
from ray.exceptions import TaskCancelledError

from budflow.execution.repeat import retry_events
from budflow.model import event as e
from budflow.model.execution import Execution, Origin
from budflow.model.identity import utc_now
from budflow.model.item import ItemList
from budflow.model.problem import WorkflowInvalid
from ray_jobs.executor import RayExecutor
from ray_jobs.serverless import Outcome
from ray_jobs.task_executor import open_in_task
from ray_jobs.tasks import (
    NothingRetried,
    cleanup_execution_task,
    execute_workflow_task,
    retry_failed_execution_task,
)
from ray_jobs.wire import unpack_events
from tests.egress.loopback import serving
from tests.execution.fakes import plan_of
from tests.execution.heavy_nodes import open_test_runner
from tests.execution.office import Flow
from tests.ray_jobs.test_runner import packed
from tests.until import until

pytestmark = [pytest.mark.ray, pytest.mark.xdist_group("ray")]

OPENING = pickle.dumps(functools.partial(open_test_runner, ("127.0.0.1",)))
DIVIDE = Flow({"divide": {"type": "data.set", "params": {"values": {"x": "{{ 6 / $json.a }}"}}}}, ["start > divide"])


def document(flow: Flow) -> bytes:
    return orjson.dumps(flow.document("test"))


def admitted(*items: dict[str, Any], origin: Origin | None = None) -> e.Admitted:
    return e.Admitted(utc_now(), "start", "api", "test", ItemList.of(items), origin=origin)


def execution(name: str, token: int = 1, origin: Origin | None = None) -> Execution:
    return Execution(name, "default", "wf_1", 1, "api", "running", utc_now(), token=token, origin=origin)


def work(*items: dict[str, Any]) -> bytes:
    return packed(execution("exe_1"), admitted(*items))


@pytest.fixture(autouse=True)
def _ray(ray_executor: RayExecutor) -> None:
    """Ray is up."""


async def test_a_workflow_runs_to_its_end_in_one_task() -> None:
    outcome = await execute_workflow_task.remote(document(DIVIDE), work({"a": 2}), OPENING)

    assert (outcome.status, outcome.items) == ("succeeded", [{"a": 2, "x": 3}])
    assert outcome.place.executor == "ray"
    assert isinstance(unpack_events(outcome.journal)[-1], e.Finished)


async def test_it_calls_the_workflows_that_were_sent_along() -> None:
    call = {"type": "flow.sub_workflow", "params": {"workflow": "wf_divide"}}
    flow = Flow({"call": call}, ["start > call"])

    task: Any = execute_workflow_task  # Ray's types know nothing of its last argument.

    outcome = await task.remote(document(flow), work({"a": 3}), OPENING, {"wf_divide": document(DIVIDE)})
    alone = await task.remote(document(flow), work({"a": 3}), OPENING)

    assert outcome.items == [{"a": 3, "x": 2}]
    assert alone.failure.code == "workflow.not_found"


async def test_a_workflow_that_may_not_run_is_refused() -> None:
    with pytest.raises(WorkflowInvalid):
        await execute_workflow_task.remote(b'{"format": 1}', work(), OPENING)


async def test_heavy_nodes_of_it_are_tasks_of_their_own() -> None:
    heavy = {"type": "data.set", "params": {"values": {"b": "{{ $json.a + 1 }}"}}, "resources": {"num_cpus": 2}}
    opening = pickle.dumps(functools.partial(open_in_task, (), ()))
    flow = Flow({"light": {"type": "flow.no_op"}, "heavy": heavy}, ["start > light", "light > heavy"])

    outcome = await execute_workflow_task.remote(document(flow), work({"a": 1}), opening)

    assert (outcome.status, outcome.items) == ("succeeded", [{"a": 1, "b": 2}])
    [ran] = [event for event in unpack_events(outcome.journal) if getattr(event, "node", "") == "heavy"]
    assert isinstance(ran, e.NodeFinished)
    assert ran.place is not None
    assert ran.place.pid != outcome.place.pid


async def test_a_retry_goes_on_from_the_last_good_nodes() -> None:
    async with serving() as loopback:
        url = f"{loopback.origin}/first"
        first = {"type": "http.request", "params": {"url": url, "method": "POST"}}
        then = {"type": "http.request", "params": {"url": f"{loopback.origin}/then", "method": "POST"}}
        nodes = {"first": first, "then": then}
        flow = Flow(nodes, ["start > first", "first > then"])
        loopback.answers["/first"] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        failed: Outcome = await execute_workflow_task.remote(document(flow), work({"a": 0}), OPENING)
        loopback.answers["/then"] = loopback.answers["/first"]

        origin = Origin("exe_1", "retry")
        _, plan = plan_of({"start": {"type": "trigger.manual"}, **nodes}, flow.edges)
        begins = admitted({"a": 0}, origin=origin)
        kept = retry_events(plan, unpack_events(failed.journal), begins)
        again = await retry_failed_execution_task.remote(
            document(flow), packed(execution("exe_2", origin=origin), begins, *kept), OPENING
        )

        assert (failed.status, again.status, again.execution_id) == ("failed", "succeeded", "exe_2")
        assert [asked.target for asked in loopback.asked] == ["/first", "/then", "/then"]


async def test_what_goes_on_for_no_other_is_no_retry() -> None:
    with pytest.raises(NothingRetried):
        await retry_failed_execution_task.remote(document(DIVIDE), work({"a": 1}), OPENING)


@pytest.mark.parametrize("waits", ["outside", "in a heavy segment"])
async def test_cancelling_a_task_ends_what_it_waits_for(waits: str) -> None:
    async with serving() as loopback:
        loopback.answers["/"] = loopback.hang
        more = {} if waits == "outside" else {"resources": {"num_cpus": 1}}
        fetch = {"type": "http.request", "params": {"url": loopback.origin + "/"}, **more}
        opening = pickle.dumps(functools.partial(open_in_task, ("127.0.0.1",), ()))
        task = execute_workflow_task.remote(document(Flow({"fetch": fetch}, ["start > fetch"])), work({}), opening)
        await loopback.arrived.wait()

        ray.cancel(task)

        async with asyncio.timeout(2):
            await loopback.all_closed()
        with pytest.raises(TaskCancelledError):
            await task


async def test_cleaning_up_frees_what_an_actor_holds_by_an_older_claim(
    ray_executor: RayExecutor, tmp_path: Path
) -> None:
    mark = tmp_path / "begun"
    block = {"type": "test.block", "params": {"seconds": 60, "mark": str(mark)}}
    runner = ray_executor.pool.runners[0]
    await runner.actor.begin.remote(
        packed(execution("exe_orphan", token=3), admitted({})), document(Flow({"block": block}, ["start > block"]))
    )
    await until(mark.exists, seconds=20)

    same = await cleanup_execution_task.remote("exe_orphan", 3)
    held = await cleanup_execution_task.remote("exe_orphan", 4)
    again = await cleanup_execution_task.remote("exe_orphan", 4)

    assert (same, held, again) == ((), ("run_test/runner-0",), ())
