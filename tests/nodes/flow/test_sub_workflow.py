"""flow.sub_workflow."""

import pytest
from pydantic import ValidationError

from budflow.model.failure import Failure
from budflow.model.node import Begin, CallEnded, CallWorkflow
from budflow.nodes.flow.sub_workflow import SubWorkflowParams
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


def test_its_decisions_depend_on_state_and_event_only() -> None:
    decide = spec_of("flow.sub_workflow").call
    begin = Begin(SubWorkflowParams(workflow="wf_1"), 1)

    assert decide(None, begin) == decide(None, begin)
    assert decide(None, CallEnded(7, None)) == (None, [])


@pytest.mark.parametrize("params", [{"workflow": ""}, {"workflow": "w", "version": 0}, {}])
def test_a_call_to_nothing_is_refused(params: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SubWorkflowParams.model_validate(params)
