"""run_workflow: start an execution and wait for its result, within the patience of an MCP client."""

from typing import Any

from pydantic import Field

from budflow.model.execution import TERMINAL
from budflow.model.principal import Principal
from budflow.services.get_execution import ExecutionDetailView
from budflow.services.idempotency_key import KeyText
from budflow.services.start_execution import StartExecution, start_execution
from budflow.services.use_case import NUMBER_MAX, RequestModel, Services
from budflow.services.wait_execution import ON_SOMEBODY
from mcp_server.tool import Tool

WAIT_SECONDS = 20.0
WAIT_SECONDS_MAX = 50.0  # Many clients give a call up after 60 seconds.


def _one_empty_item() -> list[dict[str, Any]]:
    return [{}]


class RunWorkflow(RequestModel):
    """What to run with what."""

    workflow_id: str
    items: list[dict[str, Any]] = Field(
        default_factory=_one_empty_item,
        max_length=10_000,
        description='What the trigger brings in, such as [{"name": "Ada"}]; one empty item if left out.',
    )
    version: int | None = Field(
        None,
        ge=1,
        le=NUMBER_MAX,
        description="The published one when left out; the latest where none is.",
    )
    trigger: str | None = Field(None, description="Key of the trigger node; the trigger.manual when left out.")
    until_node: str | None = Field(
        None, max_length=100, description="Run only this node and what leads to it, to try a part of a draft out."
    )
    use_pinned: bool = Field(
        False, description="Test run: nodes with `pinned` data give that instead of running, without their effect."
    )
    idempotency_key: KeyText | None = None
    wait_seconds: float = Field(WAIT_SECONDS, ge=0, le=WAIT_SECONDS_MAX, description="How long to wait for the end.")


class RunView(ExecutionDetailView):
    """The execution as far as it came within `wait_seconds`."""

    next: str | None = Field(None, description="What to call next when it has not ended.")


async def run_workflow(services: Services, principal: Principal, request: RunWorkflow) -> RunView:
    """Start an execution and wait for its end; when it takes longer, say how to go on."""
    asked = StartExecution(**request.model_dump())
    detail = await start_execution(services, principal, asked)
    execution = detail.execution
    following = None
    if execution.waiting in ON_SOMEBODY:
        following = f"It waits for somebody ({execution.waiting}): see `waits`, answer_wait and get_execution."
    elif execution.status not in TERMINAL:
        following = f'It goes on: get_execution with execution_id="{execution.id}" until its status is final.'
    return RunView(**dict(detail), next=following)


TOOL = Tool.of(
    start_execution,
    title="Run a workflow",
    description=(
        "Run a workflow now with the items you give, and wait for its result: status, each node with its counts, the "
        "items it came to. When it has not ended after `wait_seconds` it goes on; `next` says how to follow it. It "
        "does for real what its nodes do, such as HTTP requests; to test, pin data to nodes (`pinned` in the document) "
        "and set `use_pinned`, or stop at `until_node`. Repeat a call whose answer was lost with its idempotency_key."
    ),
    call=run_workflow,
    destructive=True,
    open_world=True,
    answers_as="get_execution",
    cut=("result.items", "responded.body", "waits", "nodes"),
)
