"""flow.while: run a body again and again, as long as a condition holds."""  # noqa: N999 - the id names the file; found by the registry

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from budflow.model.control import (
    Begin,
    Bodies,
    BodyEnded,
    ControlCommand,
    ControlEvent,
    ControlState,
    Fail,
    FromBody,
    FromInputs,
    ItemsFrom,
    Resolve,
    Resolved,
    Settle,
    StartBody,
)
from budflow.model.failure import Failure, NodeError
from budflow.model.http import HttpResponse
from budflow.model.node import Example, Params, node

BODY = "body"
JSON = (("Content-Type", "application/json"),)


class TooManyRounds(NodeError):
    """The condition still held after as many rounds as are allowed."""

    code = "while.too_many_rounds"
    hint = "Let the body change what the condition looks at, or raise `rounds_max`."


class WhileParams(Params):
    """When to go on, and for how long at most."""

    condition: bool = Field(
        description="Asked before every round: of the first item that came in, then of the first item of the last "
        "round. Usually an expression, such as {{ $json?.next != None }}; the loop goes on while it is true."
    )
    rounds_max: int = Field(
        default=100, ge=1, le=100_000, description="Rounds after which the node fails if the condition still holds."
    )


@node(
    "flow.while",
    kind="control",
    params=WhileParams,
    bodies=Bodies(required=(BODY,), loops=True),
    examples=[
        Example(
            title="Double a number until it is large enough",
            params={"condition": "{{ $json.n < 20 }}"},
            bodies={
                "body": {
                    "nodes": {"double": {"type": "data.set", "params": {"values": {"n": "{{ $json.n * 2 }}"}}}},
                    "edges": [{"from": "$in", "to": "double"}, {"from": "double", "to": "$out"}],
                }
            },
            given=[{"n": 3}],
            expect={"main": [{"n": 24}]},
        ),
        Example(
            title="Ask until a job is done",
            params={"condition": "{{ $json?.body?.state != 'done' }}", "rounds_max": 50},
            bodies={
                "body": {
                    "nodes": {
                        "pause": {"type": "flow.wait", "params": {"mode": "duration", "seconds": 10}},
                        "ask": {"type": "http.request", "params": {"url": "https://jobs.example/jobs/7"}},
                    },
                    "edges": [
                        {"from": "$in", "to": "pause"},
                        {"from": "pause", "to": "ask"},
                        {"from": "ask", "to": "$out"},
                    ],
                }
            },
            given=[{"job": 7}],
            answers=[
                HttpResponse(200, JSON, b'{"state": "running"}', "https://jobs.example/jobs/7"),
                HttpResponse(200, JSON, b'{"state": "done"}', "https://jobs.example/jobs/7"),
            ],
            expect={
                "main": [{"status": 200, "headers": {"content-type": "application/json"}, "body": {"state": "done"}}]
            },
        ),
    ],
)
def repeat_while(state: ControlState, event: ControlEvent) -> tuple[ControlState, Sequence[ControlCommand]]:
    """Loop as long as a condition is true: run the inner graph `body`, ask again, and so on.

    The items of the last round leave by `main`. Each round gets what reached `$out` in the round before, the first one
    what came in; where the condition does not hold to begin with, the items leave as they came. Use it to follow
    pages, to poll (with a `flow.wait` in the body) or to try again until something fits. A round that gives no item
    ends the loop, since there is nothing to go on with: then nothing leaves. A round that fails fails the node. After
    `rounds_max` rounds it fails with `while.too_many_rounds`. To go through a list use `flow.for_each`.
    """
    match event:
        case Begin(params=params, items=items):
            begun = {"rounds_max": params.rounds_max, "round": -1}
            return _decide(begun, FromInputs(), params.condition) if items else (None, [Settle({})])
        case BodyEnded(stopped=False) if state is not None and event.round == state["round"]:
            return _round_ended(state, event)
        case Resolved(ask=ask, params=params) if state is not None and ask == state["round"]:
            return _decide(state, FromBody(BODY, ask), params.condition)
    return state, []


def _round_ended(state: Mapping[str, Any], event: BodyEnded) -> tuple[ControlState, Sequence[ControlCommand]]:
    if event.failure is not None:
        return None, [Fail(event.failure)]
    if not event.items:
        return None, [Settle({})]
    return state, [Resolve(event.round, FromBody(BODY, event.round))]


def _decide(state: Mapping[str, Any], current: ItemsFrom, holds: bool) -> tuple[ControlState, Sequence[ControlCommand]]:
    """Go on with the current items, or let them leave."""
    if not holds:
        return None, [Settle({"main": current})]
    following = state["round"] + 1
    if following == state["rounds_max"]:
        return None, [Fail(Failure.of(TooManyRounds(f"The condition still held after {following:,} rounds.")))]
    return {**state, "round": following}, [StartBody(BODY, current, following)]
