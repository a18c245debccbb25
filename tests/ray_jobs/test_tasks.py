"""The four tasks, on a real local Ray."""

import functools
import pickle
from typing import Any

import orjson
import pytest

from budflow.model import event as e
from budflow.model.item import ItemList
from budflow.model.problem import WorkflowInvalid
from ray_jobs.executor import RayExecutor
from ray_jobs.tasks import (
    ExecutionNotFailed,
    cleanup_execution_task,
    execute_workflow_task,
    retry_failed_execution_task,
)
from ray_jobs.wire import unpack_events
from tests.execution.heavy_nodes import open_test_runner
from tests.execution.office import Flow
from tests.ray_jobs.test_runner import packed

pytestmark = [pytest.mark.ray, pytest.mark.xdist_group("ray")]

OPENING = pickle.dumps(functools.partial(open_test_runner, ("127.0.0.1",)))
DIVIDE = Flow({"divide": {"type": "data.set", "params": {"values": {"x": "{{ 6 / $json.a }}"}}}}, ["start > divide"])


def document(flow: Flow) -> bytes:
    return orjson.dumps(flow.document("test"))


def items(*values: dict[str, Any]) -> bytes:
    return orjson.dumps(values)


@pytest.fixture(autouse=True)
def _ray(ray_executor: RayExecutor) -> None:
    """Ray is up."""


async def test_a_workflow_runs_to_its_end_in_one_task() -> None:
    outcome = await execute_workflow_task.remote(document(DIVIDE), items({"a": 2}), OPENING)

    assert (outcome.status, outcome.items) == ("succeeded", [{"a": 2, "x": 3}])
    assert outcome.place.executor == "ray"
    assert isinstance(unpack_events(outcome.journal)[-1], e.Finished)


async def test_it_calls_the_workflows_that_were_sent_along() -> None:
    call = {"type": "flow.sub_workflow", "params": {"workflow": "wf_divide"}}
    flow = Flow({"call": call}, ["start > call"])

    outcome = await execute_workflow_task.remote(
        document(flow), items({"a": 3}), OPENING, {"wf_divide": document(DIVIDE)}
    )
    alone = await execute_workflow_task.remote(document(flow), items({"a": 3}), OPENING)

    assert outcome.items == [{"a": 3, "x": 2}]
    assert alone.failure.code == "workflow.not_found"


async def test_a_workflow_that_may_not_run_is_refused() -> None:
    with pytest.raises(WorkflowInvalid):
        await execute_workflow_task.remote(b'{"format": 1}', items(), OPENING)


async def test_a_failed_execution_is_tried_again_with_its_items() -> None:
    failed = await execute_workflow_task.remote(document(DIVIDE), items({"a": 0}), OPENING)
    assert failed.status == "failed"
    mended = Flow({"divide": {"type": "flow.no_op"}}, ["start > divide"])

    again = await retry_failed_execution_task.remote(document(mended), failed.journal, OPENING)

    assert (again.status, again.items) == ("succeeded", [{"a": 0}])
    assert again.execution_id != failed.execution_id


async def test_what_did_not_fail_is_not_tried_again() -> None:
    succeeded = await execute_workflow_task.remote(document(DIVIDE), items({"a": 1}), OPENING)

    with pytest.raises(ExecutionNotFailed):
        await retry_failed_execution_task.remote(document(DIVIDE), succeeded.journal, OPENING)


async def test_cleaning_up_frees_what_an_actor_holds(ray_executor: RayExecutor) -> None:
    from budflow.model.execution import Execution
    from budflow.model.identity import utc_now
    from ray_jobs.cluster import NAMESPACE

    now = utc_now()
    block = Flow({"block": {"type": "test.block", "params": {"seconds": 60}}}, ["start > block"])
    execution = Execution("exe_orphan", "default", "wf_orphan", 1, "api", "running", now)
    admitted = e.Admitted(now, "start", "api", "test", ItemList.of([{}]))
    runner = ray_executor.pool.runners[0]
    await runner.actor.begin.remote(packed(execution, admitted), document(block))

    names = (*(f"run_test/{runner.name}" for runner in ray_executor.pool.runners), "run_test/nobody")
    held = await cleanup_execution_task.remote("exe_orphan", names, NAMESPACE)
    again = await cleanup_execution_task.remote("exe_orphan", names, NAMESPACE)

    assert (held, again) == (("run_test/runner-0",), ())
