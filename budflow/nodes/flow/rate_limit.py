"""flow.rate_limit: let no more items pass in a time than something behind it bears."""

from collections.abc import Sequence

from pydantic import Field

from budflow.model.control import (
    Begin,
    ControlCommand,
    ControlEvent,
    ControlState,
    FromInputs,
    Reserve,
    Reserved,
    Settle,
    Wait,
    WaitOver,
)
from budflow.model.node import Example, Params, node


class RateLimitParams(Params):
    """How much in which time, and who shares it."""

    limit: int = Field(ge=1, le=1_000_000, description="Items that may pass in `per_seconds`.")
    per_seconds: float = Field(
        default=1, gt=0, le=31 * 86_400, description="The time that `limit` holds for, in seconds; 60 for a minute."
    )
    key: str = Field(
        default="default",
        min_length=1,
        max_length=200,
        description="What is limited: all nodes of the project with the same key share one limit, in all workflows "
        "and executions. Name the service behind it, such as crm, or a customer: crm-{{ $json.customer }}. Give "
        "nodes of one key the same limit.",
    )


@node(
    "flow.rate_limit",
    kind="control",
    params=RateLimitParams,
    examples=[
        Example(
            title="Ask a service at most 60 times a minute",
            params={"limit": 60, "per_seconds": 60, "key": "crm"},
            given=[{"id": 1}, {"id": 2}],
            expect={"main": [{"id": 1}, {"id": 2}]},
        )
    ],
)
def limit_rate(state: ControlState, event: ControlEvent) -> tuple[ControlState, Sequence[ControlCommand]]:
    """Hold the items back until the limit lets all of them pass; then they leave together by `main`, in their order.

    Put it before a node that asks a service which takes only so many requests in a time. The limit counts the items
    of all executions in the project. The wait is durable and costs nothing. Every item counts as one, and more items
    than `limit` wait for several periods: to let them pass one by one, put it with the request into the body of a
    `flow.for_each`.
    """
    match event:
        case Begin(items=0):
            return None, [Settle({})]
        case Begin(params=params, items=items):
            return {}, [Reserve(0, params.key, items, params.limit, params.per_seconds)]
        case Reserved(ask=0, seconds=seconds) if seconds > 0:
            return state, [Wait(0, "timer", seconds=seconds)]
        case Reserved(ask=0) | WaitOver(wait=0):
            return None, [Settle({"main": FromInputs()})]
    return state, []
