"""flow.sub_workflow: run another workflow with these items and go on with its result."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from budflow.model.node import (
    Begin,
    CallEnded,
    CallWorkflow,
    ControlCommand,
    ControlEvent,
    ControlState,
    Example,
    Fail,
    FromCall,
    Params,
    Settle,
    Static,
    node,
)


class SubWorkflowParams(Params):
    """Which workflow, and which of its versions."""

    workflow: Annotated[str, Static] = Field(
        min_length=1, max_length=100, description="Id of the workflow to run; it needs a trigger.manual."
    )
    version: Annotated[int | None, Static] = Field(
        default=None, ge=1, description="Number of the version to run; left out, the published one."
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
        )
    ],
)
def call_workflow(state: ControlState, event: ControlEvent) -> tuple[ControlState, Sequence[ControlCommand]]:
    """Run another workflow once with all items and wait for its end; what its last nodes gave leaves by `main`.

    Use it for steps that several workflows share, or to run a large part elsewhere on a cluster. The items enter the
    other workflow by its `trigger.manual`. When the other workflow fails, this node fails with the same error.
    """
    match event:
        case Begin():
            return {"waits_for": 0}, [CallWorkflow(0, event.params.workflow, event.params.version)]
        case CallEnded(call=0, failure=None):
            return state, [Settle({"main": FromCall(0)})]
        case CallEnded(call=0, failure=failure) if failure is not None:
            return state, [Fail(failure)]
    return state, []
