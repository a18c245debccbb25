"""flow.sub_workflow: run another workflow with these items and go on with its result."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from budflow.model.control import (
    Begin,
    CallEnded,
    CallWorkflow,
    ControlCommand,
    ControlEvent,
    ControlState,
    Fail,
    FromCall,
    FromCalls,
    FromInputs,
    FromItems,
    Settle,
)
from budflow.model.failure import Failure, NodeError
from budflow.model.node import Example, Params, Static, node

UNAWAITED_CALLS_MAX = 1_000  # Nobody waits for these, so that nothing paces them.


class TooManyCalls(NodeError):
    """Too many items to call another workflow for each without waiting."""

    code = "sub_workflow.too_many_calls"
    hint = "Let `call` be `all_items`, or let `wait` be true: then `concurrency` paces the calls."


class SubWorkflowParams(Params):
    """Which workflow, which of its versions, and how it is called."""

    workflow: Annotated[str, Static] = Field(
        min_length=1, max_length=100, description="Id of the workflow to run; it needs a trigger.manual."
    )
    version: Annotated[int | None, Static] = Field(
        default=None, ge=1, description="Number of the version to run; left out, the published one."
    )
    call: Annotated[Literal["all_items", "per_item"], Static] = Field(
        default="all_items", description="Call it once with all items, or once for each item (`per_item`)."
    )
    concurrency: int = Field(
        default=10,
        ge=1,
        le=1000,
        description="For `per_item`: calls that are open at once. Others wait for their turn.",
    )
    wait: Annotated[bool, Static] = Field(
        default=True,
        description="Wait for the end and go on with the result. When false the items go on unchanged as soon as the "
        "calls were made; what becomes of them, a failure too, does not come back here. A call that cannot be made, "
        "such as of a workflow that is not published or does not take the items, fails the node all the same.",
    )


@node(
    "flow.sub_workflow",
    kind="control",
    params=SubWorkflowParams,
    examples=[
        Example(
            title="Let another workflow enrich the items",
            params={"workflow": "wf_enrich"},
            given=[{"sku": "A1"}, {"sku": "B2"}],
            callee=[{"sku": "A1", "price": 5}, {"sku": "B2", "price": 7}],
            expect={"main": [{"sku": "A1", "price": 5}, {"sku": "B2", "price": 7}]},
        ),
        Example(
            title="Call it for each item, four at a time",
            params={"workflow": "wf_ship", "call": "per_item", "concurrency": 4},
            given=[{"order": 1}, {"order": 2}],
            callee=[{"shipped": True}],
            expect={"main": [{"shipped": True}, {"shipped": True}]},
        ),
        Example(
            title="Set something off and do not wait for it",
            params={"workflow": "wf_newsletter", "wait": False},
            given=[{"email": "ada@example.com"}],
            expect={"main": [{"email": "ada@example.com"}]},
        ),
    ],
)
def call_workflow(state: ControlState, event: ControlEvent) -> tuple[ControlState, Sequence[ControlCommand]]:
    """Run another workflow once with all items and wait for its end; what its last nodes gave leaves by `main`.

    Use it for steps that several workflows share, or to run a large part elsewhere on a cluster. The items enter the
    other workflow by its `trigger.manual`, whose `inputs` they must fit. With `call` `per_item` it runs once for each
    item, and the results leave in the order of the items. When a called workflow fails, this node fails with the same
    error and stops the calls that are still open. Calls may be nested 32 deep; a workflow must not call itself.
    """
    match event:
        case Begin():
            return _begin(event)
        case CallEnded(failure=None) if state is not None:
            return _go_on({**state, "ended": state["ended"] + 1})
        case CallEnded(failure=Failure() as failure) if state is not None:
            return None, [Fail(failure)]
    return state, []


def _begin(event: Begin[SubWorkflowParams]) -> tuple[ControlState, Sequence[ControlCommand]]:
    params, per_item = event.params, event.params.call == "per_item"
    state: dict[str, Any] = {
        "workflow": params.workflow,
        "version": params.version,
        "per_item": per_item,
        "calls": event.items if per_item else 1,
        "open_max": params.concurrency,
        "started": 0,
        "ended": 0,
    }
    if params.wait:
        return _go_on(state)
    if state["calls"] > UNAWAITED_CALLS_MAX:
        error = TooManyCalls(f"{event.items:,} items are more than the {UNAWAITED_CALLS_MAX:,} calls that may be made.")
        return None, [Fail(Failure.of(error))]
    return None, [*_calls(state, state["calls"], awaited=False), Settle({"main": FromInputs()})]


def _go_on(state: Mapping[str, Any]) -> tuple[ControlState, Sequence[ControlCommand]]:
    """Make as many calls as may be open, or settle when all have ended."""
    if state["ended"] == state["calls"]:
        return None, [Settle({"main": FromCalls() if state["per_item"] else FromCall(0)} if state["calls"] else {})]
    started = min(state["calls"], state["ended"] + state["open_max"])
    return {**state, "started": started}, _calls(state, started, awaited=True)


def _calls(state: Mapping[str, Any], stop: int, *, awaited: bool) -> list[ControlCommand]:
    return [
        CallWorkflow(
            number,
            state["workflow"],
            state["version"],
            FromItems(number, number + 1) if state["per_item"] else FromInputs(),
            awaited,
        )
        for number in range(state["started"], stop)
    ]
