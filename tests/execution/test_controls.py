"""Control nodes that ask for what cannot be done: whatever is open of them is stopped before they end."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from budflow.execution import state as s
from budflow.execution.advance import fold
from budflow.execution.ports import Work
from budflow.execution.run import Run
from budflow.execution.tools import Tools
from budflow.graph.plan import Plan
from budflow.model import event as e
from budflow.model.control import (
    Begin,
    CallEnded,
    CallWorkflow,
    ControlCommand,
    ControlEvent,
    ControlState,
    Fail,
    FromBody,
    FromCall,
    FromInputs,
    Resolve,
    Respond,
    StartBody,
    Stopped,
)
from budflow.model.identity import utc_now
from budflow.model.item import ItemList
from tests.execution.fakes import PLACE, FakeHttp, FakeLink, execution_of, plan_of
from tests.execution.story import HOOK, SET, body
from tests.execution.test_run_faults import with_call

Decide = Callable[[ControlState, ControlEvent], tuple[ControlState, Sequence[ControlCommand]]]
START_BODY = StartBody("body", FromInputs())


def at_first(*commands: ControlCommand) -> Decide:
    """A function that decides this and, but for the end of a call, nothing afterwards."""

    def decide(state: ControlState, event: ControlEvent) -> tuple[ControlState, Sequence[ControlCommand]]:
        match event:
            case Begin():
                return None, commands
            case CallEnded(_, failure) if failure is not None:
                return None, [Fail(failure)]
        return None, []

    return decide


def plan_with(call: Decide, **node: Any) -> tuple[dict[str, Any], Plan]:
    guard = {"type": "flow.try_catch", "bodies": {"body": body("hook", HOOK), "finally": body("tidy", SET)}, **node}
    document, plan = plan_of({"start": {"type": "trigger.manual"}, "odd": guard}, ["start > odd"])
    return document, with_call(plan, "odd", call)


async def play(document: Mapping[str, Any], plan: Plan, events: Sequence[e.Event]) -> FakeLink:
    link = FakeLink()
    link.events = [*events]
    run = Run(Work(execution_of("exe_1"), document, plan, tuple(events)), link, Tools(PLACE, FakeHttp()), "run_1")
    run.start()
    async with asyncio.timeout(5):
        await run.wait()
    return link


def admitted() -> e.Admitted:
    return e.Admitted(utc_now(), "start", "api", "test", ItemList.of([{"i": 1}]))


IMPOSSIBLE: Mapping[str, tuple[ControlCommand, str]] = {
    "a call with what no call gave": (CallWorkflow(0, "wf_2", None, FromCall(7)), "node.result_malformed"),
    "parameters for what no body gave": (Resolve(0, FromBody("finally", 3)), "node.result_malformed"),
    "an answer that is not JSON": (Respond(200, {}, 2**70), "journal.unwritable"),
}


@pytest.mark.parametrize("asked", IMPOSSIBLE)
async def test_what_is_open_of_a_node_is_stopped_before_it_fails_for_what_it_asked(asked: str) -> None:
    command, code = IMPOSSIBLE[asked]
    document, plan = plan_with(at_first(START_BODY, command))
    link = await play(document, plan, [admitted()])

    [failed] = link.of(e.NodeFailed)
    assert (failed.node, failed.failure.code) == ("odd", code)
    assert [event.node for event in link.of(e.NodeCancelled)] == ["hook"]
    assert link.end.status == "failed"
    before = fold(plan, link.events[:-1])
    assert set(before.frames) == {s.ROOT}
    assert not before.controls


async def test_a_node_whose_parameters_cannot_be_evaluated_tidies_up_before_it_fails() -> None:
    def decide(state: ControlState, event: ControlEvent) -> tuple[ControlState, Sequence[ControlCommand]]:
        match event:
            case Begin():
                return None, [START_BODY, Resolve(0, FromBody("finally", 3))]
            case Stopped():
                return None, [StartBody("finally", FromInputs())]
        return None, []

    link = await play(*plan_with(decide), [admitted()])

    [tidied] = link.of(e.RoundsFinished)
    assert tidied.body == "finally"
    assert link.end.status == "failed"
    assert link.end.failure is not None
    assert link.end.failure.code == "node.result_malformed"


@pytest.mark.parametrize("asked", IMPOSSIBLE)
async def test_it_fails_the_same_from_every_point_of_its_journal(asked: str) -> None:
    command, _ = IMPOSSIBLE[asked]
    document, plan = plan_with(at_first(START_BODY, command))
    whole = await play(document, plan, [admitted()])

    journal = [event for event in whole.events if not isinstance(event, e.Started)]
    for size in range(1, len(journal)):
        link = await play(document, plan, journal[:size])
        assert link.end.failure == whole.end.failure
        assert set(fold(plan, link.events[:-1]).frames) == {s.ROOT}
