"""flow.for_each: run a body once for each item, or for each few of them."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from budflow.model.control import (
    Begin,
    Bodies,
    BodyEnded,
    ControlCommand,
    ControlEvent,
    ControlState,
    Fail,
    FromFailedRounds,
    FromItems,
    FromRounds,
    ItemsFrom,
    Settle,
    StartBody,
)
from budflow.model.node import Example, Params, Static, node

BODY = "body"
FAILED_PORT = "failed"
LIGHT_ROUNDS = 256  # Open at once of a body that only computes: the engine runs those in one go.


class ForEachParams(Params):
    """What is walked through, and how."""

    items: list[Any] | None = Field(
        default=None,
        description="The list to walk through, such as {{ $json.lines }}; it is read from every item that comes in, "
        'one list after the other. An element that is no object is seen as {"value": element}. Null that an expression '
        "gives, such as {{ $json?.lines }}, is an empty list. Left out, the items themselves.",
    )
    batch_size: int = Field(default=1, ge=1, le=1_000_000, description="Items that one round of the body gets.")
    concurrency: int = Field(
        default=1, ge=1, le=10_000, description="Rounds that are open at once, those included that wait."
    )
    on_item_error: Annotated[Literal["stop", "continue", "failed_output"], Static] = Field(
        default="stop",
        description="What a failed round does. `stop`: the whole node fails with its error. `continue`: the items "
        "that went into it leave by `main` in their place, unchanged and with `$error`. `failed_output`: they leave "
        "by the port `failed`, with `$error`.",
    )


def for_each_ports(params: Mapping[str, Any]) -> tuple[str, ...]:
    """The output ports that raw, perhaps faulty parameters ask for."""
    return ("main", FAILED_PORT) if params.get("on_item_error") == "failed_output" else ("main",)


@node(
    "flow.for_each",
    kind="control",
    params=ForEachParams,
    outputs=for_each_ports,
    bodies=Bodies(required=(BODY,), loops=True),
    feed="items",
    examples=[
        Example(
            title="Work out the total of every line of an order, ten at a time",
            params={"items": "{{ $json.lines }}", "concurrency": 10},
            bodies={
                "body": {
                    "nodes": {
                        "total": {
                            "type": "data.set",
                            "params": {"values": {"total": "{{ $json.price * $json.quantity }}"}},
                        }
                    },
                    "edges": [{"from": "$in", "to": "total"}, {"from": "total", "to": "$out"}],
                }
            },
            given=[
                {
                    "order": 7,
                    "lines": [{"sku": "A1", "price": 5, "quantity": 2}, {"sku": "B2", "price": 7, "quantity": 1}],
                }
            ],
            expect={
                "main": [
                    {"sku": "A1", "price": 5, "quantity": 2, "total": 10},
                    {"sku": "B2", "price": 7, "quantity": 1, "total": 7},
                ]
            },
        ),
        Example(
            title="Hand the items on two at a time",
            params={"batch_size": 2},
            bodies={
                "body": {
                    "nodes": {
                        "together": {
                            "type": "data.aggregate",
                            "params": {"operations": [{"operation": "collect", "field": "email", "name": "emails"}]},
                        }
                    },
                    "edges": [{"from": "$in", "to": "together"}, {"from": "together", "to": "$out"}],
                }
            },
            given=[{"email": "a@example.com"}, {"email": "b@example.com"}, {"email": "c@example.com"}],
            expect={"main": [{"emails": ["a@example.com", "b@example.com"]}, {"emails": ["c@example.com"]}]},
        ),
        Example(
            title="Put those that fail aside and go on with the others",
            params={"on_item_error": "failed_output"},
            bodies={
                "body": {
                    "nodes": {
                        "check": {"type": "flow.if", "params": {"condition": "{{ $json.total >= 0 }}"}},
                        "refuse": {
                            "type": "flow.stop_and_error",
                            "params": {"message": "Order {{ $json.id }} is negative."},
                        },
                    },
                    "edges": [
                        {"from": "$in", "to": "check"},
                        {"from": "check.true", "to": "$out"},
                        {"from": "check.false", "to": "refuse"},
                    ],
                }
            },
            given=[{"id": 1, "total": 12}, {"id": 2, "total": -3}, {"id": 3, "total": 8}],
            expect={"main": [{"id": 1, "total": 12}, {"id": 3, "total": 8}], "failed": [{"id": 2, "total": -3}]},
        ),
    ],
)
def for_each(state: ControlState, event: ControlEvent) -> tuple[ControlState, Sequence[ControlCommand]]:
    """Loop over items: run the inner graph `body` once for each of them, or for each few.

    What reaches the body's `$out` leaves by `main`, in the order of the items. Most nodes work on every item anyway:
    use this where several steps belong together for one item (wait, branch, fail on their own), to go through a list
    inside an item (`items`), to send in batches, or to bound how many run at once. Inside the body `$json` is the
    round's item; the nodes in it may read those outside as `$node.KEY`, never the reverse. Put the inner nodes under
    `bodies.body` with edges from `$in` and to `$out`; a round may give no item, one or several. Where `items` is an
    empty list, nothing leaves and what follows is skipped.
    """
    match event:
        case Begin():
            return _begin(event)
        case BodyEnded(stopped=False) if state is not None:
            return _round_ended(state, event)
    return state, []  # Without a state it is decided: what still ends is of no interest.


def _begin(event: Begin[ForEachParams]) -> tuple[ControlState, Sequence[ControlCommand]]:
    params = event.params
    return _go_on(
        {
            "size": params.batch_size,
            "open_max": max(params.concurrency, LIGHT_ROUNDS) if BODY in event.light else params.concurrency,
            "on_item_error": params.on_item_error,
            "rounds": -(-event.items // params.batch_size),
            "started": 0,
            "ended": 0,
            "progress": {"done": 0, "total": event.items},
            **({} if event.postponed is None else {"postponed": event.postponed}),
        }
    )


def _round_ended(state: Mapping[str, Any], event: BodyEnded) -> tuple[ControlState, Sequence[ControlCommand]]:
    if event.failure is not None and state["on_item_error"] == "stop":
        return None, [Fail(event.failure)]
    part, progress = _part(state, event.round), state["progress"]
    done = progress["done"] + part.stop - part.start
    return _go_on({**state, "ended": state["ended"] + 1, "progress": {**progress, "done": done}})


def _go_on(state: Mapping[str, Any]) -> tuple[ControlState, Sequence[ControlCommand]]:
    """Start as many rounds as may be open, or settle when all have ended."""
    if state["ended"] == state["rounds"]:
        return None, [Settle(_outputs(state))]
    started = min(state["rounds"], state["ended"] + state["open_max"])
    rounds = [_round(state, position) for position in range(state["started"], started)]
    return {**state, "started": started}, [StartBody(BODY, _part(state, number), number) for number in rounds]


def _round(state: Mapping[str, Any], position: int) -> int:
    """The round that begins as this one of all: in their order, but that one of them may be postponed."""
    late, behind = state.get("postponed", (0, 0))
    if position == behind:
        return int(late)
    return position + 1 if late <= position < behind else position


def _part(state: Mapping[str, Any], number: int) -> FromItems:
    """The items of one round; the last round may have fewer than the others."""
    start = number * state["size"]
    return FromItems(start, min(start + state["size"], state["progress"]["total"]))


def _outputs(state: Mapping[str, Any]) -> Mapping[str, ItemsFrom]:
    if not state["rounds"]:
        return {}
    if state["on_item_error"] == "failed_output":
        return {"main": FromRounds(BODY), FAILED_PORT: FromFailedRounds(BODY)}
    return {"main": FromRounds(BODY, failed=state["on_item_error"] == "continue")}
