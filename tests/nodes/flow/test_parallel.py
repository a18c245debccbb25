"""flow.parallel."""

from typing import Any

import pytest
from pydantic import ValidationError

from budflow.model.control import Begin, BodyEnded, FromBodies, FromInputs, Settle, StartBody, StopBody, Stopped
from budflow.model.failure import Failure, NodeError
from budflow.model.item import Item, Json
from budflow.nodes.flow.parallel import ParallelParams
from tests.nodes.control_play import World, newest
from tests.nodes.harness import Ran, run, spec_of

BODIES = ("a", "b", "c")


def give(name: str) -> Any:
    return lambda items: [{"by": name, "of": len(items)}]


def fail(items: list[Item]) -> list[Json]:
    raise NodeError("No.")


def fail_otherwise(items: list[Item]) -> list[Json]:
    raise NodeError("Neither.")


def join(params: Any, bodies: Any = None, world: World | None = None) -> Ran:
    given = bodies or {name: give(name) for name in BODIES}
    return run("flow.parallel", params, [{"n": 1}, {"n": 2}], bodies=given, world=world)


def by(ran: Ran) -> list[str]:
    return [item["by"] for item in ran.ports["main"]]


def test_all_bodies_run_at_once_with_all_items() -> None:
    ran = join({})

    assert ran.played.open_max == 3
    assert ran.ports == {"main": [{"by": name, "of": 2} for name in BODIES]}


def test_the_items_leave_in_the_order_of_the_document() -> None:
    assert by(join({}, world=World(pick=newest))) == ["a", "b", "c"]


def test_the_first_failure_fails_all() -> None:
    played = join({}, {"a": give("a"), "b": fail, "c": fail_otherwise}).played

    assert played.failure is not None
    assert played.failure.message == "No."


@pytest.mark.parametrize(("pick", "winner", "losers"), [(None, "a", ["b", "c"]), (newest, "c", ["a", "b"])])
def test_the_first_that_succeeds_wins_and_the_others_are_stopped(pick: Any, winner: str, losers: list[str]) -> None:
    ran = join({"join": "first"}, world=World(pick=pick) if pick else None)

    assert by(ran) == [winner]
    assert ran.played.stopped == [StopBody(name) for name in losers]


def test_a_failure_does_not_keep_another_from_winning() -> None:
    assert by(join({"join": "first"}, {"a": fail, "b": fail, "c": give("c")})) == ["c"]


def test_where_none_succeeds_the_last_failure_counts() -> None:
    played = join({"join": "first"}, {"a": fail, "b": fail, "c": fail_otherwise}).played

    assert played.failure is not None
    assert played.failure.message == "Neither."


def test_a_quorum_takes_the_first_so_many() -> None:
    ran = join({"join": "quorum", "quorum": 2}, world=World(pick=newest))

    assert by(ran) == ["b", "c"]
    assert ran.played.stopped == [StopBody("a")]


def test_a_quorum_out_of_reach_fails_at_once() -> None:
    played = join({"join": "quorum", "quorum": 2}, {"a": fail, "b": fail_otherwise, "c": give("c")}).played

    assert played.failure is not None
    assert played.failure.message == "Neither."
    assert len(played.open) == 0


def test_a_quorum_of_more_bodies_than_there_are_fails() -> None:
    played = join({"join": "quorum", "quorum": 4}).played

    assert played.failure is not None
    assert played.failure.code == "parallel.quorum_too_large"
    assert played.started == []


@pytest.mark.parametrize(
    "late", [BodyEnded("b", 0, 3), BodyEnded("b", 0, 0, Failure("x.y", "No.")), BodyEnded("b", 0, 0, stopped=True)]
)
def test_a_loser_may_end_in_any_way(late: BodyEnded) -> None:
    decide = spec_of("flow.parallel").call
    state, started = decide(None, Begin(ParallelParams(join="first"), 1, ("a", "b")))
    assert started == [StartBody("a", FromInputs()), StartBody("b", FromInputs())]

    state, commands = decide(state, BodyEnded("a", 0, 1))
    assert commands == [StopBody("b")]
    assert decide(state, late) == (None, [Settle({"main": FromBodies(("a",))})])


def test_stopping_is_no_failure_of_the_bodies() -> None:
    played = join({}, world=World(stop_after=1)).played

    assert (played.ended, played.failure) == ("stopped", None)
    assert spec_of("flow.parallel").call(None, Stopped()) == (None, [])


@pytest.mark.parametrize("params", [{"join": "quorum"}, {"quorum": 2}, {"join": "quorum", "quorum": 0}])
def test_a_quorum_has_a_number_and_only_it(params: Any) -> None:
    with pytest.raises(ValidationError):
        ParallelParams.model_validate(params)
