"""flow.sub_workflow."""

import json

import pytest
from pydantic import ValidationError

from budflow.model.control import Begin, CallEnded, CallWorkflow, Fail, FromItems, Stopped
from budflow.model.failure import Failure
from budflow.model.item import Item, Json
from budflow.nodes.flow.sub_workflow import SubWorkflowParams
from tests.nodes.control_play import World, newest
from tests.nodes.harness import run, spec_of


def test_the_other_workflow_is_called_once_with_all_items() -> None:
    ran = run("flow.sub_workflow", {"workflow": "wf_1", "version": 3}, [{"a": 1}, {"a": 2}], callee=[{"b": 1}])

    assert ran.calls == [CallWorkflow(0, "wf_1", 3)]
    assert ran.ports == {"main": [{"b": 1}]}


def test_a_result_without_items_is_an_empty_port() -> None:
    ran = run("flow.sub_workflow", {"workflow": "wf_1"}, [{"a": 1}], callee=[])

    assert ran.calls == [CallWorkflow(0, "wf_1", None)]
    assert ran.ports == {}


def test_the_failure_of_the_other_workflow_is_this_nodes_failure() -> None:
    failure = Failure("http.status", "The server answered 500.", "Try later.", "fetch", retriable=True)

    ran = run("flow.sub_workflow", {"workflow": "wf_1"}, [{"a": 1}], callee=failure)

    assert ran.failed == {0: failure}
    assert ran.ports == {"error": [{"a": 1}]}


def shout(items: list[Item]) -> list[Json]:
    return [{"loud": item.json["n"]} for item in items]


NUMBERS = [{"n": n} for n in range(20)]


@pytest.mark.parametrize("concurrency", [1, 4, 1000])
def test_it_may_be_called_for_each_item_and_the_order_stays(concurrency: int) -> None:
    params = {"workflow": "wf_1", "call": "per_item", "concurrency": concurrency}

    ran = run("flow.sub_workflow", params, NUMBERS, callee=shout, world=World(pick=newest))

    assert ran.ports == {"main": [{"loud": n} for n in range(20)]}
    assert ran.played.open_max == min(concurrency, 20)
    assert ran.calls[3] == CallWorkflow(3, "wf_1", None, FromItems(3, 4))


def test_one_failed_call_fails_the_node() -> None:
    failure = Failure("order.empty", "No lines.")
    params = {"workflow": "wf_1", "call": "per_item", "concurrency": 2}

    ran = run("flow.sub_workflow", params, NUMBERS, callee=lambda items: failure if items[0].json["n"] == 3 else [])

    assert ran.played.failure == failure
    assert len(ran.calls) == 5


def test_no_items_are_no_calls_for_each() -> None:
    ran = run("flow.sub_workflow", {"workflow": "wf_1", "call": "per_item"}, [])

    assert (ran.played.ended, ran.calls, ran.ports) == ("settled", [], {})


@pytest.mark.parametrize(("call", "calls"), [("all_items", 1), ("per_item", 20)])
def test_without_waiting_the_items_go_on_as_they_came(call: str, calls: int) -> None:
    ran = run("flow.sub_workflow", {"workflow": "wf_1", "call": call, "wait": False}, NUMBERS)

    assert ran.ports == {"main": NUMBERS}
    assert ran.lineage == {"main": list(range(20))}
    assert [command.awaited for command in ran.calls] == [False] * calls


def test_calls_that_nobody_waits_for_have_a_limit() -> None:
    begin = Begin(SubWorkflowParams(workflow="wf_1", call="per_item", wait=False), 1_001)

    _, [failed] = spec_of("flow.sub_workflow").call(None, begin)

    assert isinstance(failed, Fail)
    assert failed.failure.code == "sub_workflow.too_many_calls"


def test_many_calls_keep_the_state_small() -> None:
    decide = spec_of("flow.sub_workflow").call
    state, _ = decide(None, Begin(SubWorkflowParams(workflow="wf_1", call="per_item"), 1_000_000))
    for number in range(1000):
        state, commands = decide(state, CallEnded(number, None))

    assert commands == [CallWorkflow(1009, "wf_1", None, FromItems(1009, 1010))]
    assert len(json.dumps(state)) < 200


def test_its_decisions_depend_on_state_and_event_only() -> None:
    decide = spec_of("flow.sub_workflow").call
    begin = Begin(SubWorkflowParams(workflow="wf_1"), 1)

    assert decide(None, begin) == decide(None, begin)
    assert decide(None, CallEnded(7, None)) == (None, [])
    assert decide(decide(None, begin)[0], Stopped())[1] == []


@pytest.mark.parametrize("params", [{"workflow": ""}, {"workflow": "w", "version": 0}, {}])
def test_a_call_to_nothing_is_refused(params: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SubWorkflowParams.model_validate(params)
