"""start_execution: run a workflow now, and wait a while for its result if asked to."""

from typing import Any

from pydantic import Field

from budflow.model.item import ItemList
from budflow.model.principal import Principal
from budflow.model.workflow import WorkflowNotFound
from budflow.services.get_execution import ExecutionDetailView, GetExecution, get_execution
from budflow.services.idempotency_key import KeyText, RequestKey, fingerprint_of
from budflow.services.trigger_workflow import TriggerEvent, trigger_workflow
from budflow.services.use_case import NUMBER_MAX, RequestModel, Services, use_case
from budflow.services.wait_execution import wait_for_end

WAIT_SECONDS_MAX = 300.0
PRIORITY_MAX = 100


def _one_empty_item() -> list[dict[str, Any]]:
    return [{}]


class StartExecution(RequestModel):
    """What to run with what."""

    workflow_id: str
    version: int | None = Field(
        None,
        ge=1,
        le=NUMBER_MAX,
        description="The published one when left out; the latest where none is.",
    )
    items: list[dict[str, Any]] = Field(
        default_factory=_one_empty_item, max_length=10_000, description="What the trigger brings in, an object an item."
    )
    trigger: str | None = Field(None, description="Key of the trigger node; the `trigger.manual` when left out.")
    until_node: str | None = Field(
        None,
        max_length=100,
        description="Run only the node with this key and what leads to it, to try a part out; "
        "static data are read and not changed.",
    )
    use_pinned: bool = Field(
        False,
        description="Test run: nodes with `pinned` data give that instead of running, without any effect; "
        "static data are read and not changed.",
    )
    priority: int = Field(
        0,
        ge=-PRIORITY_MAX,
        le=PRIORITY_MAX,
        description="Added to the workflow's own; higher ones leave a queue first.",
    )
    idempotency_key: KeyText | None = None
    traceparent: str | None = Field(
        None, description="The trace to belong to (W3C Trace Context); a malformed one is ignored."
    )
    wait_seconds: float = Field(
        0, ge=0, le=WAIT_SECONDS_MAX, description="How long to wait for the end; 0 answers at once."
    )


#: What a repetition may have otherwise: how long its caller waits, and by which trace it is followed.
_MEANS_NOTHING = {"idempotency_key", "traceparent", "wait_seconds"}


@use_case("execution:run")
async def start_execution(services: Services, principal: Principal, request: StartExecution) -> ExecutionDetailView:
    """Start an execution. The answer comes when it ended or `wait_seconds` are over: look at `status`.

    With an idempotency key that an equal request came with before, it is that one's execution.
    """
    workflow = await services.store.get_workflow(principal.project_id, request.workflow_id)
    if workflow is None:
        raise WorkflowNotFound(f"There is no workflow {request.workflow_id}.")
    key = None
    if request.idempotency_key is not None:
        key = RequestKey(request.idempotency_key, fingerprint_of(request.model_dump(exclude=_MEANS_NOTHING)))
    event = TriggerEvent(
        workflow_id=workflow.id,
        items=ItemList.of(request.items),
        mode=principal.door,
        version=request.version or workflow.published_version or workflow.latest_version,
        trigger=request.trigger,
        key=key,
        priority=request.priority,
        until=request.until_node,
        pinned=request.use_pinned,
        traceparent=request.traceparent,
    )
    triggered = await trigger_workflow(services, principal, event)
    if request.wait_seconds:
        await wait_for_end(services, triggered.execution, request.wait_seconds)
    return await get_execution.run(services, principal, GetExecution(execution_id=triggered.execution.id))
