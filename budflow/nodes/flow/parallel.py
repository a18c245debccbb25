"""flow.parallel: run several bodies at once with the same items, and go on with all or with the fastest."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from budflow.model.control import (
    Begin,
    Bodies,
    BodyEnded,
    ControlCommand,
    ControlEvent,
    ControlState,
    Fail,
    FromBodies,
    FromInputs,
    Settle,
    StartBody,
    StopBody,
)
from budflow.model.failure import Failure, NodeError
from budflow.model.http import HttpResponse
from budflow.model.node import Example, Params, Static, node


class QuorumTooLarge(NodeError):
    """More bodies have to succeed than there are."""

    code = "parallel.quorum_too_large"
    hint = "Lower `quorum`, or add bodies."


class ParallelParams(Params):
    """What it waits for."""

    join: Annotated[Literal["all", "first", "quorum"], Static] = Field(
        default="all",
        description="`all`: wait for every body; the first that fails stops the others and fails the node. `first`: "
        "go on with the first that succeeds and stop the others. `quorum`: likewise with the first so many.",
    )
    quorum: int | None = Field(
        default=None, ge=1, le=500, description="For `quorum`: how many bodies must succeed, at most all of them."
    )

    @model_validator(mode="after")
    def _quorum_is_given(self) -> Self:
        if (self.join == "quorum") != (self.quorum is not None):
            raise ValueError("Give `quorum` a number when `join` is `quorum`, and only then.")
        return self


def bodies_needed(params: Mapping[str, Any]) -> int:
    """How many bodies raw, perhaps faulty parameters ask for."""
    quorum = params.get("quorum")
    return quorum if isinstance(quorum, int) and params.get("join") == "quorum" else 1


def _fetch(address: str) -> dict[str, Any]:
    key = address.partition(".")[0]
    return {
        "nodes": {f"ask_{key}": {"type": "http.request", "params": {"url": f"https://{address}/rate"}}},
        "edges": [{"from": "$in", "to": f"ask_{key}"}, {"from": f"ask_{key}", "to": "$out"}],
    }


@node(
    "flow.parallel",
    kind="control",
    params=ParallelParams,
    bodies=Bodies(named_by_author=True, at_least=bodies_needed),
    examples=[
        Example(
            title="Do two things at the same time and go on with both results",
            params={},
            bodies={
                "net": {
                    "nodes": {
                        "net_price": {
                            "type": "data.set",
                            "params": {"keep": False, "values": {"net": "{{ $json.price }}"}},
                        }
                    },
                    "edges": [{"from": "$in", "to": "net_price"}, {"from": "net_price", "to": "$out"}],
                },
                "gross": {
                    "nodes": {
                        "gross_price": {
                            "type": "data.set",
                            "params": {"keep": False, "values": {"gross": "{{ $json.price * 2 }}"}},
                        }
                    },
                    "edges": [{"from": "$in", "to": "gross_price"}, {"from": "gross_price", "to": "$out"}],
                },
            },
            given=[{"price": 5}],
            expect={"main": [{"net": 5}, {"gross": 10}]},
        ),
        Example(
            title="Take the first answer of two services",
            params={"join": "first"},
            bodies={"main_service": _fetch("rates.example"), "other_service": _fetch("backup.example")},
            given=[{}],
            answers=[
                HttpResponse(
                    200, (("Content-Type", "application/json"),), b'{"rate": 1.1}', "https://rates.example/rate"
                )
            ],
            expect={"main": [{"status": 200, "headers": {"content-type": "application/json"}, "body": {"rate": 1.1}}]},
        ),
    ],
)
def parallel(state: ControlState, event: ControlEvent) -> tuple[ControlState, Sequence[ControlCommand]]:
    """Run all inner graphs in `bodies` at the same time, each with all items; what they give leaves by `main`.

    Name the bodies as you like; each has edges from `$in` and to `$out`. The items leave one body after the other, in
    the order of the document and not of the finish; only the bodies that counted give theirs. Plain branches of a
    workflow run at the same time too: use this to stop the others when one fails (`all`), for the fastest of several
    (`first`), or when some are enough (`quorum`). Bodies that are not needed any more are stopped; what they have
    already done outside stays done. When too few can still succeed, the node fails with the last failure.
    """
    match event:
        case Begin():
            return _begin(event)
        case BodyEnded() if state is not None:
            return _body_ended(state, event)
    return state, []


def _begin(event: Begin[ParallelParams]) -> tuple[ControlState, Sequence[ControlCommand]]:
    bodies = list(event.bodies)
    needed = event.params.quorum or (1 if event.params.join == "first" else len(bodies))
    if needed > len(bodies):
        error = QuorumTooLarge(f"{needed} bodies must succeed, and there are {len(bodies)}.")
        return None, [Fail(Failure.of(error))]
    state = {"bodies": bodies, "open": bodies, "won": [], "needed": needed}
    return state, [StartBody(body, FromInputs()) for body in bodies]


def _body_ended(state: Mapping[str, Any], event: BodyEnded) -> tuple[ControlState, Sequence[ControlCommand]]:
    still_open = [body for body in state["open"] if body != event.body]
    state = {**state, "open": still_open}
    if len(state["won"]) == state["needed"]:  # It is decided, and only the losers were still to end.
        return _settle(state)
    if event.stopped:
        return state, []
    if event.failure is not None:
        within_reach = len(state["won"]) + len(still_open) >= state["needed"]
        return (state, []) if within_reach else (None, [Fail(event.failure)])
    state["won"] = [*state["won"], event.body]
    if len(state["won"]) < state["needed"]:
        return state, []
    return _settle(state) if not still_open else (state, [StopBody(body) for body in still_open])


def _settle(state: Mapping[str, Any]) -> tuple[ControlState, Sequence[ControlCommand]]:
    if state["open"]:
        return state, []
    winners = tuple(body for body in state["bodies"] if body in state["won"])
    return None, [Settle({"main": FromBodies(winners)})]
