"""Executions in one process without a server."""

import asyncio
import functools
from typing import Any

import orjson
import pytest

from budflow.execution.children import CALL_DEPTH_MAX
from budflow.model import event as e
from budflow.model.execution import Execution, Place
from budflow.model.identity import utc_now
from budflow.model.item import ItemList
from budflow.model.problem import WorkflowInvalid
from ray_jobs.serverless import Outcome, Serverless
from ray_jobs.wire import unpack_events
from tests.egress.loopback import serving
from tests.execution.heavy_nodes import open_test_runner
from tests.execution.office import Flow
from tests.ray_jobs.test_runner import packed

PLACE = Place("ray", "here", 1)
DIVIDE = Flow({"divide": {"type": "data.set", "params": {"values": {"x": "{{ 6 / $json.a }}"}}}}, ["start > divide"])


def calling(workflow_id: str, **more: object) -> Flow:
    call = {"type": "flow.sub_workflow", "params": {"workflow": workflow_id}, **more}
    return Flow({"call": call}, ["start > call"])


def waiting(**params: Any) -> Flow:
    return Flow({"ask": {"type": "flow.wait", "params": params}}, ["start > ask"])


async def run(flow: Flow, item: dict[str, int], **callees: Flow) -> Outcome:
    sent = {name: orjson.dumps(callee.document(name)) for name, callee in callees.items()}
    serverless = Serverless(functools.partial(open_test_runner, ("127.0.0.1",)), sent, PLACE)
    execution = Execution("exe_1", "default", "wf_1", 1, "cli", "running", utc_now(), token=1)
    admitted = e.Admitted(utc_now(), "start", "cli", "test", ItemList.of([item]))
    return await serverless.execute(orjson.dumps(flow.document("test")), packed(execution, admitted))


async def test_an_execution_gives_its_result_and_its_journal() -> None:
    outcome = await run(DIVIDE, {"a": 2})

    assert (outcome.status, outcome.items, outcome.place) == ("succeeded", [{"a": 2, "x": 3}], PLACE)
    assert outcome.execution_id == "exe_1"
    events = unpack_events(outcome.journal)
    assert isinstance(events[0], e.Admitted)
    assert isinstance(events[-1], e.Finished)


async def test_a_failure_says_where() -> None:
    outcome = await run(DIVIDE, {"a": 0})

    assert outcome.failure is not None
    assert (outcome.status, outcome.failure.node) == ("failed", "divide")


async def test_a_callee_gives_its_result_to_its_caller() -> None:
    outcome = await run(calling("wf_divide"), {"a": 3}, wf_divide=DIVIDE)

    assert outcome.items == [{"a": 3, "x": 2}]
    assert [event.TYPE for event in unpack_events(outcome.journal)].count("child.started") == 1


async def test_a_callee_that_fails_fails_the_node_that_called() -> None:
    outcome = await run(calling("wf_divide"), {"a": 0}, wf_divide=DIVIDE)

    assert outcome.failure is not None
    assert (outcome.failure.code, outcome.failure.node) == ("expression.failed", "call")


async def test_a_workflow_that_calls_itself_ends() -> None:
    outcome = await run(calling("wf_self"), {"a": 0}, wf_self=calling("wf_self"))

    assert outcome.failure is not None
    assert outcome.failure.code == "workflow.call_too_deep"
    assert CALL_DEPTH_MAX < 100


async def test_a_sibling_that_fails_cancels_the_callee() -> None:
    nodes = {**calling("wf_slow").nodes, "fail": {"type": "flow.stop_and_error", "params": {"message": "no"}}}
    async with serving() as loopback:
        loopback.answers["/"] = loopback.hang
        fetch = {"type": "http.request", "params": {"url": loopback.origin + "/"}, "effect": "pure"}
        slow = Flow({"fetch": fetch}, ["start > fetch"])

        async with asyncio.timeout(10):
            outcome = await run(Flow(nodes, ["start > call", "start > fail"]), {"a": 0}, wf_slow=slow)

    assert outcome.failure is not None
    assert outcome.failure.node == "fail"


async def test_a_workflow_that_may_not_run_is_refused() -> None:
    with pytest.raises(WorkflowInvalid):
        await run(Flow({"bad": {"type": "data.sett"}}, ["start > bad"]), {})


async def test_what_only_somebody_can_answer_ends_it_with_what_it_waits_for() -> None:
    async with asyncio.timeout(10):
        outcome = await run(waiting(mode="approval", text="Pay?"), {})

    assert outcome.rest is not None
    assert (outcome.status, outcome.rest.reason, outcome.items) == ("waiting", "approval", [])
    assert isinstance(unpack_events(outcome.journal)[-1], e.WaitStarted)


@pytest.mark.parametrize(
    "params",
    [
        {"mode": "duration", "seconds": 0.01},
        {"mode": "approval", "text": "Pay?", "expires_after_seconds": 0.2},
    ],
    ids=["a while", "somebody, for a moment"],
)
async def test_it_waits_for_time_to_pass(params: dict[str, Any]) -> None:
    async with asyncio.timeout(10):
        outcome = await run(waiting(**params), {})

    assert (outcome.status, outcome.rest) == ("succeeded", None)


@pytest.mark.parametrize("on_error", ["stop", "continue"])
async def test_a_node_with_credentials_fails_and_sends_nothing(on_error: str) -> None:
    async with serving() as loopback:
        fetch = {"type": "http.request", "params": {"url": loopback.origin}, "credentials": {"auth": "crm"}}
        outcome = await run(Flow({"fetch": {**fetch, "on_error": on_error}}, ["start > fetch"]), {"a": 1})

        assert loopback.asked == []
    assert outcome.status == ("failed" if on_error == "stop" else "succeeded")
    assert "credential.no_server" in outcome.journal.decode("utf-8", "replace")
    if outcome.failure is not None:
        assert (outcome.failure.code, outcome.failure.node) == ("credential.no_server", "fetch")
        assert "server" in outcome.failure.hint
