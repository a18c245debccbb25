"""A node that runs an author's code is tried again as a whole where its sandbox was lost, and leaves nothing twice."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from budflow.execution.node_result import NodeRun
from budflow.execution.node_run import run_node
from budflow.expressions.evaluate import Scope
from budflow.model.failure import Failure, NodeError
from budflow.model.item import Item
from budflow.model.sandbox import CodeFailed, SandboxBusy, SandboxWorkerLost
from tests.execution.fakes import FakeHttp, plan_of
from tests.nodes.fake_sandbox import FakeSandbox
from tests.nodes.harness import NOW

RETRY: Mapping[str, Any] = {"tries": 3, "wait_seconds": 1, "backoff": "exponential"}


class Told:
    """What the run told of its retries, and how long it slept."""

    def __init__(self, errors: Sequence[NodeError], retry: Mapping[str, Any] = RETRY, **node: Any) -> None:
        self.sandbox = FakeSandbox(errors)
        self.retries: list[tuple[int, int, float, str]] = []
        self.slept: list[float] = []
        code = {"type": "code.python", "params": {"code": "return items"}, "retry": {**retry, "jitter": False}, **node}
        _, plan = plan_of({"start": {"type": "trigger.manual"}, "code": code}, ["start > code"])
        self.run = NodeRun(
            node=plan.nodes[plan.index["code"]],
            items=[Item({"n": 1}), Item({"n": 2})],
            ports={"main": range(2)},
            scope=lambda ordinal: Scope({}, ordinal or 0, {"now": NOW}),
            now=NOW,
            effect_scope="exe_1",
            http=FakeHttp(),
            on_retry=self._on_retry,
            sleep=self._sleep,
            sandbox=self.sandbox,
        )

    def _on_retry(self, tries: int, failed: int, seconds: float, failure: Failure) -> None:
        self.retries.append((tries, failed, seconds, failure.code))

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


async def test_code_whose_worker_was_lost_runs_again_and_what_it_gave_before_is_dropped() -> None:
    told = Told([SandboxWorkerLost(), SandboxBusy()])

    result = await run_node(told.run)

    assert [item.json for item in result.ports["main"][0]] == [{"n": 1}, {"n": 2}]
    assert (result.tries, result.failed, result.raised) == (3, {}, False)
    assert told.retries == [(1, 2, 1.0, "sandbox.worker_lost"), (2, 2, 2.0, "sandbox.busy")]
    assert told.slept == [1.0, 2.0]
    assert len({task.seed for task in told.sandbox.tasks}) == 1
    assert told.sandbox.closed == 3


async def test_after_its_last_try_all_its_items_have_failed() -> None:
    told = Told([SandboxWorkerLost()] * 5)

    result = await run_node(told.run)

    assert {index: failure.code for index, failure in result.failed.items()} == dict.fromkeys(
        (0, 1), "sandbox.worker_lost"
    )
    assert (result.tries, result.ports, result.raised) == (3, {}, True)
    assert len(told.retries) == 2


async def test_without_a_retry_it_runs_once() -> None:
    told = Told([SandboxWorkerLost()], {})

    result = await run_node(told.run)

    assert (result.tries, len(result.failed), told.retries) == (1, 2, [])


async def test_what_the_code_itself_raised_is_final() -> None:
    told = Told([CodeFailed("line 1: KeyError")])

    result = await run_node(told.run)

    assert (result.tries, told.retries) == (1, [])
    assert result.failed[0].message == "line 1: KeyError"


async def test_every_try_is_within_the_time_limit_of_the_node() -> None:
    told = Told([SandboxWorkerLost()] * 5, {"tries": 5, "wait_seconds": 60}, timeout_seconds=0.05)

    async def sleep(_seconds: float) -> None:
        await asyncio.Event().wait()

    told.run.sleep = sleep
    result = await run_node(told.run)

    assert {failure.code for failure in result.failed.values()} == {"node.timed_out"}
    assert told.sandbox.closed == 1


@pytest.mark.parametrize("tries", [1, 2])
async def test_its_lines_say_at_which_try_they_were_logged(tries: int) -> None:
    told = Told([SandboxWorkerLost()] * (tries - 1), {"tries": 2})
    await run_node(told.run)

    told.run.log.add("info", "after", {}, None)
    assert [line.attempt for line in told.run.log.end()] == [tries]
