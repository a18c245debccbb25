"""flow.stop_and_error."""

import pytest
from pydantic import ValidationError

from budflow.model.control import CallEnded
from budflow.model.failure import Failure
from budflow.nodes.flow.stop_and_error import HINT, StopAndErrorParams
from tests.nodes.harness import run, spec_of


def test_the_failure_has_the_authors_message_and_is_not_tried_again() -> None:
    ran = run("flow.stop_and_error", {"message": "No lines."}, [{"id": 1}, {"id": 2}])

    assert ran.failed[0] == Failure("workflow.stopped", "No lines.", HINT, retriable=False)
    assert HINT
    assert ran.ports == {"error": [{"id": 1}, {"id": 2}]}


def test_the_code_may_be_the_authors_own() -> None:
    ran = run("flow.stop_and_error", {"message": "No lines.", "code": "order.empty"}, [{}])

    assert ran.failed[0].code == "order.empty"


@pytest.mark.parametrize("code", ["", "one", "Order.empty", "order.", ".empty", "order empty", "a." + "b" * 100])
def test_a_code_that_programs_could_not_compare_is_refused(code: str) -> None:
    with pytest.raises(ValidationError):
        StopAndErrorParams(message="x", code=code)


def test_a_failure_without_a_message_is_refused() -> None:
    with pytest.raises(ValidationError):
        StopAndErrorParams(message="")


def test_an_event_that_it_did_not_ask_for_changes_nothing() -> None:
    assert spec_of("flow.stop_and_error").call(None, CallEnded(0, None)) == (None, [])
