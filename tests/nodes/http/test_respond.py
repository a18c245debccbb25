"""http.respond."""

from typing import Any

import pytest
from pydantic import ValidationError

from budflow.model.control import CallEnded, Respond
from budflow.nodes.http.respond import RespondParams
from tests.nodes.harness import run, spec_of


def test_the_answer_is_sent_and_the_items_go_on() -> None:
    ran = run("http.respond", lambda json: {"body": json}, [{"a": 1}, {"a": 2}])

    assert ran.responds == Respond(200, {}, {"a": 1})
    assert ran.ports == {"main": [{"a": 1}, {"a": 2}]}
    assert ran.lineage == {"main": [0, 1]}


def test_numbers_may_stand_in_headers() -> None:
    ran = run("http.respond", {"body": None, "status": 204, "headers": {"X-Count": 3}}, [{}])

    assert ran.responds == Respond(204, {"X-Count": "3"}, None)


@pytest.mark.parametrize("body", ["text", None, [], 0, {"a": [1]}])
def test_a_body_is_any_json(body: Any) -> None:
    ran = run("http.respond", {"body": body}, [{}])

    assert ran.responds is not None
    assert ran.responds.body == body


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"body": 1, "status": 199},
        {"body": 1, "status": 600},
        {"body": 1, "headers": {"X-A": "a\r\nSet-Cookie: b=c"}},
        {"body": 1, "headers": {"X A": "a"}},
        {"body": 1, "headers": {"": "a"}},
        {"body": 1, "headers": {"Content-Length": "5"}},
        {"body": 1, "headers": {"transfer-encoding": "chunked"}},
    ],
)
def test_an_answer_that_could_break_the_message_is_refused(params: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RespondParams.model_validate(params)


def test_an_event_that_it_did_not_ask_for_changes_nothing() -> None:
    assert spec_of("http.respond").call(None, CallEnded(0, None)) == (None, [])
