"""flow.try_catch."""

from typing import Any

from budflow.model.control import Begin, BodyEnded, FromInputs, StartBody, Stopped
from budflow.model.failure import NodeError
from budflow.model.item import Item, ItemError, Json
from budflow.nodes.flow.try_catch import TryCatchParams
from tests.nodes.control_play import World
from tests.nodes.harness import Ran, run, spec_of

GIVEN = [{"n": 1}, {"n": 2}]
STARTED = StartBody("finally", FromInputs())


def succeed(items: list[Item]) -> list[Json]:
    return [{"of": len(items)}]


def fail(items: list[Item]) -> list[Json]:
    raise NodeError("No.", hint="Say yes.")


def attempt(body: Any, last: Any = None, world: World | None = None) -> Ran:
    bodies = {"body": body, "finally": last} if last else {"body": body}
    return run("flow.try_catch", {}, GIVEN, bodies=bodies, world=world)


def test_what_the_body_gives_leaves_by_main() -> None:
    assert attempt(succeed).ports == {"main": [{"of": 2}]}


def test_a_failure_is_caught_with_the_items_as_they_came_and_why() -> None:
    ran = attempt(fail)

    error = ItemError("node.failed", "No.", "Say yes.")
    assert ran.items == {"caught": [Item({"n": 1}, error=error), Item({"n": 2}, error=error)]}
    assert ran.lineage == {"caught": [0, 1]}
    assert ran.failed == {}


def test_finally_runs_after_either_with_the_items_that_came_in() -> None:
    seen: list[list[Json]] = []

    def tidy(items: list[Item]) -> list[Json]:
        seen.append([item.json for item in items])
        return [{"dropped": True}]

    assert attempt(succeed, tidy).ports == {"main": [{"of": 2}]}
    assert attempt(fail, tidy).ports == {"caught": GIVEN}
    assert seen == [GIVEN, GIVEN]


def test_a_finally_that_fails_fails_the_node_whatever_the_body_did() -> None:
    def fail_too(items: list[Item]) -> list[Json]:
        raise NodeError("Not tidy.")

    for body in (succeed, fail):
        played = attempt(body, fail_too).played
        assert played.failure is not None
        assert played.failure.message == "Not tidy."


def test_finally_runs_when_the_node_is_stopped_and_then_it_is_over() -> None:
    for last in (succeed, fail):
        played = attempt(succeed, last, World(stop_after=0)).played
        assert (played.ended, played.started[1:], played.outputs) == ("stopped", [STARTED], {})


def test_without_a_finally_a_stopped_node_is_over() -> None:
    played = attempt(succeed, world=World(stop_after=0)).played

    assert (played.ended, len(played.started)) == ("stopped", 1)


def test_finally_does_not_run_a_second_time_when_it_was_stopped_itself() -> None:
    decide = spec_of("flow.try_catch").call
    state, _ = decide(None, Begin(TryCatchParams(), 1, ("body", "finally")))
    state, commands = decide(state, BodyEnded("body", 0, 1))
    assert commands == [STARTED]

    state, commands = decide(state, BodyEnded("finally", 0, 0, stopped=True))
    assert commands == []
    assert decide(state, Stopped()) == (state, [])


def test_the_failure_is_kept_while_finally_runs() -> None:
    ran = attempt(fail, succeed)

    assert ran.items["caught"][0].error == ItemError("node.failed", "No.", "Say yes.")
