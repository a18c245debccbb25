"""flow.wait."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from budflow.model.control import Begin, Stopped, Wait
from budflow.nodes.flow.wait import AnswerInvalid, WaitParams, checked_answer, wait_ports
from tests.nodes.control_play import World
from tests.nodes.harness import Ran, run, spec_of

GIVEN = [{"n": 1}, {"n": 2}]
FORM = {"mode": "form", "fields": [{"name": "city", "required": True}, {"name": "floor", "type": "integer"}]}
ASK = {
    "text": "",
    "fields": [
        {"name": "city", "label": "city", "type": "string", "required": True},
        {"name": "floor", "label": "floor", "type": "integer", "required": False},
    ],
}


def hold(params: Any, answered: Any = None, given: Any = GIVEN) -> Ran:
    return run("flow.wait", params, given, world=World(answered=answered))


def test_a_duration_lets_the_items_pass_as_they_came() -> None:
    ran = hold({"mode": "duration", "seconds": "{{ $json.n * 60 }}"})

    assert ran.played.waits == [Wait(0, "timer", seconds=60)]
    assert ran.ports == {"main": GIVEN}
    assert ran.lineage == {"main": [0, 1]}


def test_a_duration_may_come_out_as_nothing() -> None:
    assert hold({"mode": "duration", "seconds": 0}).played.waits == [Wait(0, "timer", seconds=0)]


def test_a_date_may_be_computed() -> None:
    ran = hold({"mode": "date", "until": "{{ $now.plus(days=3) }}"})

    assert ran.played.waits == [Wait(0, "timer", until=datetime(2030, 1, 5, 3, 4, 5, tzinfo=UTC))]
    assert ran.ports == {"main": GIVEN}


@pytest.mark.parametrize("until", ["2030-01-31T09:00:00", "2030-01-31", "tomorrow"])
def test_a_date_without_an_offset_is_refused(until: str) -> None:
    with pytest.raises(ValidationError, match="until"):
        WaitParams.model_validate({"mode": "date", "until": until})


def test_parameters_come_back_from_the_journal_as_they_were() -> None:
    params = WaitParams.model_validate({"mode": "date", "until": "2030-01-31T09:00:00+01:00"})

    assert WaitParams.model_validate(params.model_dump(mode="json")) == params


def test_what_was_sent_stands_in_every_item() -> None:
    ran = hold({"mode": "webhook", "text": "Job {{ $json.n }}"}, answered={"done": True})

    assert ran.played.waits == [Wait(0, "webhook", ask={"text": "Job 1"})]
    assert ran.ports == {"main": [{"n": 1, "answer": {"done": True}}, {"n": 2, "answer": {"done": True}}]}


def test_a_form_asks_for_its_fields() -> None:
    assert hold(FORM, answered={"city": "Bonn", "floor": None}).played.waits == [Wait(0, "form", ask=ASK)]


@pytest.mark.parametrize(("approved", "port"), [(True, "approved"), (False, "rejected")])
def test_a_decision_chooses_the_port(approved: bool, port: str) -> None:
    answer = {"approved": approved, "comment": "", "by": "anna"}
    ran = hold({"mode": "approval", "text": "Pay {{ $json.n }}?", "approvers": ["anna"]}, answered=answer)

    assert ran.played.waits == [Wait(0, "approval", ask={"text": "Pay 1?", "approvers": ["anna"]})]
    assert ran.ports == {port: [{**item, "answer": answer} for item in GIVEN]}


@pytest.mark.parametrize("params", [{"mode": "webhook"}, FORM, {"mode": "approval", "text": "Pay?"}])
def test_without_an_answer_in_time_the_items_leave_by_expired(params: dict[str, Any]) -> None:
    ran = hold({**params, "expires_after_seconds": 60})

    assert ran.played.waits[0].seconds == 60
    assert ran.ports == {"expired": GIVEN}


def test_the_ports_follow_from_the_mode() -> None:
    assert wait_ports({"mode": "duration"}) == ("main",)
    assert wait_ports({"mode": "approval"}) == ("approved", "rejected")
    assert wait_ports({"mode": "form", "expires_after_seconds": "{{ $json.x }}"}) == ("main", "expired")


def test_a_stopped_wait_is_over() -> None:
    decide = spec_of("flow.wait").call
    state, _ = decide(None, Begin(WaitParams(mode="duration", seconds=5), 1))

    assert decide(state, Stopped()) == (state, [])


@pytest.mark.parametrize(
    "wrong",
    [
        {"mode": "duration"},
        {"mode": "date"},
        {"mode": "form"},
        {"mode": "form", "fields": []},
        {"mode": "form", "fields": [{"name": "a"}, {"name": "a"}]},
        {"mode": "form", "fields": [{"name": "a b"}]},
        {"mode": "approval"},
        {"mode": "duration", "seconds": -1},
        {"mode": "duration", "seconds": 5, "expires_after_seconds": 5},
        {"mode": "webhook", "seconds": 0},
        {"mode": "approval", "text": "Pay?", "fields": [{"name": "a"}]},
        {"mode": "date", "until": "2030-01-31T09:00:00Z", "text": "Why?"},
    ],
)
def test_parameters_that_the_mode_lacks_or_does_not_read_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        WaitParams.model_validate(wrong)


def test_a_decision_is_completed() -> None:
    assert checked_answer("approval", {}, {"approved": False, "more": 1}) == {"approved": False, "comment": ""}
    assert checked_answer("approval", {}, {"approved": True, "comment": "Ok"}) == {"approved": True, "comment": "Ok"}


def test_a_form_is_completed() -> None:
    assert checked_answer("form", ASK, {"city": "Bonn"}) == {"city": "Bonn", "floor": None}
    assert checked_answer("form", ASK, {"city": "Bonn", "floor": 3}) == {"city": "Bonn", "floor": 3}


def test_anything_answers_a_webhook() -> None:
    assert checked_answer("webhook", {"text": ""}, [1, None]) == [1, None]


@pytest.mark.parametrize(
    ("reason", "answer", "said"),
    [
        ("approval", {"approved": "yes"}, "`approved` must be true or false"),
        ("approval", {"approved": True, "comment": 3}, "`comment` must be a text"),
        ("approval", None, "must be an object, not null"),
        ("form", {"floor": 3}, "`city` is required"),
        ("form", {"city": ""}, "`city` is required"),
        ("form", {"city": "Bonn", "floor": "third"}, "`floor` must be a whole number, not a text"),
        ("form", {"city": "Bonn", "street": "x"}, "no field `street`; its fields are city, floor"),
    ],
)
def test_an_answer_that_does_not_fit_is_refused(reason: Any, answer: Any, said: str) -> None:
    with pytest.raises(AnswerInvalid, match=said):
        checked_answer(reason, ASK, answer)
