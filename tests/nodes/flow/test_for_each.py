"""flow.for_each."""

import json
from typing import Any

import pytest

from budflow.model.control import Begin, BodyEnded, Fail, FromItems, FromRounds, Settle, StartBody, Stopped
from budflow.model.failure import NodeError
from budflow.model.item import Item, ItemError, Json
from budflow.nodes.flow.for_each import ForEachParams, for_each_ports
from tests.nodes.control_play import World, newest
from tests.nodes.harness import Ran, run, spec_of

NUMBERS = [{"n": n} for n in range(10)]
LIGHT = frozenset({"body"})


def double(items: list[Item]) -> list[Json]:
    return [{"n": item.json["n"] * 2} for item in items]


def refuse_odd(items: list[Item]) -> list[Json]:
    for item in items:
        if item.json["n"] % 2:
            raise NodeError(f"{item.json['n']} is odd.")
    return [{"even": item.json["n"]} for item in items]


def walk(params: Any, given: Any = NUMBERS, body: Any = double, world: World | None = None) -> Ran:
    return run("flow.for_each", params, given, bodies={"body": body}, world=world)


@pytest.mark.parametrize("concurrency", [1, 3, 10, 10_000])
@pytest.mark.parametrize("batch_size", [1, 3, 10, 99])
def test_the_order_stays_whatever_ends_first(concurrency: int, batch_size: int) -> None:
    ran = walk({"concurrency": concurrency, "batch_size": batch_size}, world=World(pick=newest))

    assert ran.ports == {"main": [{"n": n * 2} for n in range(10)]}


def test_no_more_rounds_are_open_than_allowed() -> None:
    assert walk({"concurrency": 3}, world=World(pick=newest)).played.open_max == 3
    assert walk({}).played.open_max == 1


def test_many_rounds_of_a_body_that_only_computes_are_open() -> None:
    given = [{"n": n} for n in range(1000)]

    assert walk({}, given, world=World(light=LIGHT)).played.open_max == 256
    assert walk({"concurrency": 500}, given, world=World(light=LIGHT)).played.open_max == 500


def test_a_round_gets_as_many_items_as_it_shall_and_the_last_the_rest() -> None:
    ran = walk({"batch_size": 4})

    assert [command.source for command in ran.played.started] == [FromItems(0, 4), FromItems(4, 8), FromItems(8, 10)]


def test_a_round_may_give_none_or_several() -> None:
    ran = walk({"concurrency": 4}, body=lambda items: [{"of": item.json["n"]} for item in items] * items[0].json["n"])

    assert [item["of"] for item in ran.ports["main"][:6]] == [1, 2, 2, 3, 3, 3]


def test_the_lists_of_all_items_are_walked_through() -> None:
    given = [{"lines": [{"n": 1}, {"n": 2}]}, {"lines": []}, {"lines": [{"n": 3}]}]

    assert walk(lambda found: {"items": found["lines"]}, given).ports == {"main": [{"n": 2}, {"n": 4}, {"n": 6}]}


def test_a_list_that_is_missing_has_no_elements() -> None:
    ran = walk(lambda found: {"items": found.get("lines")}, [{"n": 1}, {"lines": [{"n": 2}]}, {"lines": None}])

    assert ran.ports == {"main": [{"n": 4}]}


def test_elements_that_are_no_objects_become_some() -> None:
    ran = walk({"items": [1, "two", None]}, [{}], body=lambda items: items)

    assert ran.ports == {"main": [{"value": 1}, {"value": "two"}, {"value": None}]}


@pytest.mark.parametrize(("params", "given"), [({}, []), ({"items": []}, [{}, {}])])
def test_nothing_to_walk_through_ends_at_once(params: Any, given: Any) -> None:
    ran = walk(params, given)

    assert ran.ports == {}
    assert (ran.played.ended, ran.played.started) == ("settled", [])


def test_a_failed_round_fails_the_node() -> None:
    ran = walk({"concurrency": 3}, body=refuse_odd)

    assert ran.played.failure is not None
    assert ran.played.failure.message == "1 is odd."
    assert len(ran.played.started) == 4


def test_failed_items_go_on_in_their_place_with_their_error() -> None:
    ran = walk({"on_item_error": "continue", "concurrency": 3}, NUMBERS[:4], refuse_odd, World(pick=newest))

    assert ran.ports == {"main": [{"even": 0}, {"n": 1}, {"even": 2}, {"n": 3}]}
    assert [item.error for item in ran.items["main"]][:2] == [
        None,
        ItemError("node.failed", "1 is odd.", NodeError.hint),
    ]


def test_failed_items_leave_by_a_port_of_their_own() -> None:
    ran = walk({"on_item_error": "failed_output", "batch_size": 2}, NUMBERS[:5], refuse_odd)

    assert ran.ports == {"main": [{"even": 4}], "failed": NUMBERS[:4]}
    assert for_each_ports({"on_item_error": "failed_output"}) == ("main", "failed")
    assert for_each_ports({}) == ("main",)


def test_stopping_starts_nothing_more() -> None:
    ran = walk({"concurrency": 3}, world=World(stop_after=2))

    assert ran.played.ended == "stopped"
    assert len(ran.played.started) == 5


def test_it_tells_how_far_it_is() -> None:
    decide = spec_of("flow.for_each").call
    state, _ = decide(None, Begin(ForEachParams(batch_size=4, concurrency=3), 10))
    state, _ = decide(state, BodyEnded("body", 2, 0))
    assert state["progress"] == {"done": 2, "total": 10}

    state, _ = decide(state, BodyEnded("body", 0, 7))
    assert state["progress"] == {"done": 6, "total": 10}


def test_the_state_does_not_grow_with_the_items() -> None:
    decide = spec_of("flow.for_each").call
    state, started = decide(None, Begin(ForEachParams(concurrency=10_000), 1_000_000))
    assert len(started) == 10_000

    for number in range(9_999, 0, -1):
        state, started = decide(state, BodyEnded("body", number, 1))

    assert started == [StartBody("body", FromItems(19_998, 19_999), 19_998)]
    assert len(json.dumps(state)) < 300


def test_a_round_that_is_run_again_begins_behind_those_that_are_kept() -> None:
    decide = spec_of("flow.for_each").call
    state, commands = decide(None, Begin(ForEachParams(concurrency=1), 5, postponed=(1, 3)))
    started = [*commands]
    for _ in range(4):
        state, commands = decide(state, BodyEnded("body", started[-1].round, 1))
        started += commands

    assert [command.round for command in started] == [0, 2, 3, 1, 4]
    assert [command.source for command in started] == [FromItems(n, n + 1) for n in (0, 2, 3, 1, 4)]


def test_the_last_round_settles_it() -> None:
    decide = spec_of("flow.for_each").call
    state, _ = decide(None, Begin(ForEachParams(concurrency=2), 2))
    state, commands = decide(state, BodyEnded("body", 1, 1))
    assert commands == []

    assert decide(state, BodyEnded("body", 0, 1)) == (None, [Settle({"main": FromRounds("body")})])


def test_what_ends_after_it_is_decided_changes_nothing() -> None:
    decide = spec_of("flow.for_each").call
    state, _ = decide(None, Begin(ForEachParams(concurrency=2), 5))
    state, [failed] = decide(state, BodyEnded("body", 0, 0, failure=walk({}, body=refuse_odd).played.failure))
    assert isinstance(failed, Fail)

    assert decide(state, BodyEnded("body", 1, 1)) == (state, [])
    assert decide(state, Stopped()) == (state, [])
