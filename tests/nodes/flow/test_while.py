"""flow.while."""

from typing import Any

import pytest

from budflow.model.control import Begin, BodyEnded, FromBody, Resolve, Resolved, StartBody, Stopped
from budflow.model.failure import NodeError
from budflow.model.item import Item, Json
from tests.nodes.control_play import World
from tests.nodes.harness import Ran, run, spec_of

WhileParams = spec_of("flow.while").params


def add_one(items: list[Item]) -> list[Json]:
    return [{"n": item.json["n"] + 1} for item in items]


def count(below: int, given: list[Json], body: Any = add_one, world: World | None = None, **more: Any) -> Ran:
    params = {"condition": f"{{{{ $json.n < {below} }}}}", **more}
    return run("flow.while", params, given, bodies={"body": body}, world=world)


def test_the_body_runs_as_long_as_the_condition_holds_for_its_first_item() -> None:
    ran = count(3, [{"n": 0}, {"n": 10}])

    assert ran.ports == {"main": [{"n": 3}, {"n": 13}]}
    assert [command.round for command in ran.played.started] == [0, 1, 2]


def test_each_round_gets_what_the_last_one_gave() -> None:
    sources = [command.source for command in count(3, [{"n": 0}]).played.started]

    assert sources[1:] == [FromBody("body", 0), FromBody("body", 1)]


def test_a_condition_that_does_not_hold_lets_the_items_leave_as_they_came() -> None:
    ran = count(0, [{"n": 5}, {"n": 6}])

    assert ran.ports == {"main": [{"n": 5}, {"n": 6}]}
    assert ran.lineage == {"main": [0, 1]}
    assert ran.played.started == []


def test_no_items_are_nothing_to_go_on_with() -> None:
    ran = run("flow.while", {"condition": True}, [], bodies={"body": add_one})

    assert (ran.played.ended, ran.ports) == ("settled", {})


def test_a_round_that_gives_nothing_ends_it() -> None:
    ran = count(9, [{"n": 0}], lambda items: [{"n": 1}] if items[0].json["n"] == 0 else [])

    assert (ran.played.ended, ran.ports, len(ran.played.started)) == ("settled", {}, 2)


def test_as_many_rounds_as_are_allowed_may_be_just_enough() -> None:
    assert count(3, [{"n": 0}], rounds_max=3).ports == {"main": [{"n": 3}]}


def test_too_many_rounds_fail() -> None:
    ran = count(4, [{"n": 0}], rounds_max=3)

    assert ran.played.failure is not None
    assert ran.played.failure.code == "while.too_many_rounds"
    assert "3 rounds" in ran.played.failure.message
    assert len(ran.played.started) == 3


def test_a_failed_round_fails_the_node() -> None:
    def refuse(items: list[Item]) -> list[Json]:
        raise NodeError("No.")

    ran = count(4, [{"n": 0}], refuse)

    assert ran.played.failure is not None
    assert ran.played.failure.message == "No."


def test_stopping_starts_no_other_round() -> None:
    ran = count(9, [{"n": 0}], world=World(stop_after=2))

    assert ran.played.ended == "stopped"
    assert len(ran.played.started) == 2


def test_many_rounds_keep_the_state_small() -> None:
    assert count(5000, [{"n": 0}], rounds_max=100_000).played.state_chars_max < 100


def test_answers_to_what_it_did_not_ask_change_nothing() -> None:
    decide = spec_of("flow.while").call
    params = WhileParams.model_validate({"condition": True})
    state, [started] = decide(None, Begin(params, 1))
    assert isinstance(started, StartBody)

    assert decide(state, BodyEnded("body", 5, 1)) == (state, [])
    assert decide(state, Resolved(3, params)) == (state, [])
    assert decide(state, Stopped()) == (state, [])
    assert decide(state, BodyEnded("body", 0, 1)) == (state, [Resolve(0, FromBody("body", 0))])


@pytest.mark.parametrize("rounds_max", [0, 100_001])
def test_rounds_have_a_limit(rounds_max: int) -> None:
    with pytest.raises(ValueError, match="rounds_max"):
        WhileParams.model_validate({"condition": True, "rounds_max": rounds_max})
