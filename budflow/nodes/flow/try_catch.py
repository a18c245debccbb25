"""flow.try_catch: run a body, catch its failure, and tidy up in any case."""

from collections.abc import Mapping, Sequence
from typing import Any

from budflow.model.control import (
    Begin,
    Bodies,
    BodyEnded,
    ControlCommand,
    ControlEvent,
    ControlState,
    Fail,
    FromBody,
    FromFailure,
    FromInputs,
    Settle,
    StartBody,
    Stopped,
)
from budflow.model.failure import Failure
from budflow.model.http import HttpResponse
from budflow.model.node import Example, Params, node

BODY, FINALLY = "body", "finally"
CAUGHT_PORT = "caught"

_CHECK_AND_PASS = {
    "nodes": {
        "check": {"type": "flow.if", "params": {"condition": "{{ $json.total >= 0 }}"}},
        "refuse": {
            "type": "flow.stop_and_error",
            "params": {"message": "Order {{ $json.id }} is negative.", "code": "order.negative"},
        },
    },
    "edges": [
        {"from": "$in", "to": "check"},
        {"from": "check.true", "to": "$out"},
        {"from": "check.false", "to": "refuse"},
    ],
}


class TryCatchParams(Params):
    """No parameters: the bodies say everything."""


@node(
    "flow.try_catch",
    kind="control",
    params=TryCatchParams,
    outputs=("main", CAUGHT_PORT),
    bodies=Bodies(required=(BODY,), optional=(FINALLY,), last=(FINALLY,)),
    examples=[
        Example(
            title="Go another way when something fails",
            params={},
            bodies={"body": _CHECK_AND_PASS},
            given=[{"id": 1, "total": -3}],
            expect={"caught": [{"id": 1, "total": -3}]},
        ),
        Example(
            title="Give back in `finally` what was taken, whatever came of it",
            params={},
            bodies={
                "body": _CHECK_AND_PASS,
                "finally": {
                    "nodes": {
                        "release": {
                            "type": "http.request",
                            "params": {"method": "DELETE", "url": "https://locks.example/orders/{{ $json.id }}"},
                        }
                    },
                    "edges": [{"from": "$in", "to": "release"}],
                },
            },
            given=[{"id": 2, "total": 12}],
            answers=[HttpResponse(204, (), b"", "https://locks.example/orders/2")],
            expect={"main": [{"id": 2, "total": 12}]},
        ),
    ],
)
def try_catch(state: ControlState, event: ControlEvent) -> tuple[ControlState, Sequence[ControlCommand]]:
    """Run the inner graph `body`: what reaches its `$out` leaves by `main`, or all items by `caught` when it fails.

    Use it where several steps succeed or fail together. By `caught` leave the items that came in, unchanged; behind
    it `{{ $error.message }}` reads why, and `$error.code`, `$error.hint` and `$error.node` the rest. Nothing of a
    failed body leaves by `main`. An optional body `finally` gets the items that came in and runs after either, also
    when the execution is cancelled or out of time; what it gives is dropped, and when it fails itself, this node fails
    with its error. For one step alone set its `on_error` instead.
    """
    match event:
        case Begin(bodies=bodies):
            return {"finally": FINALLY in bodies}, [StartBody(BODY, FromInputs())]
        case BodyEnded(body="body", stopped=False) if state is not None:
            return _finish(state, event.failure)
        case BodyEnded(body="finally", stopped=False) if state is not None:
            return _finished(state, event.failure)
        case Stopped() if state is not None and state["finally"]:
            return {"finally": False, "stopped": True}, [StartBody(FINALLY, FromInputs())]
    return state, []


def _finish(state: Mapping[str, Any], failure: Failure | None) -> tuple[ControlState, Sequence[ControlCommand]]:
    """The body is over: run `finally` where there is one, and only once."""
    if not state["finally"]:
        return None, [_outcome(failure)]
    over = {"finally": False, "failure": failure.to_json() if failure else None}
    return over, [StartBody(FINALLY, FromInputs())]


def _finished(state: Mapping[str, Any], failure: Failure | None) -> tuple[ControlState, Sequence[ControlCommand]]:
    if "stopped" in state:
        return None, []  # Why it was stopped stays the reason, even where tidying up failed.
    if failure is not None:
        return None, [Fail(failure)]
    caught = state["failure"]
    return None, [_outcome(Failure(**caught) if caught else None)]


def _outcome(failure: Failure | None) -> Settle:
    return Settle({"main": FromBody(BODY)} if failure is None else {CAUGHT_PORT: FromFailure(failure)})
