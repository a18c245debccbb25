"""list_executions: the executions of the project, newest first."""

from pydantic import Field

from budflow.model.execution import Status
from budflow.model.principal import Principal
from budflow.services.use_case import RequestModel, Services, View, use_case
from budflow.services.views import ExecutionView


class ListExecutions(RequestModel):
    """Which executions."""

    limit: int = Field(50, ge=1, le=200, description="How many at most.")
    cursor: str | None = Field(None, pattern=r"^exe_[0-9a-f]{32}$", description="`next_cursor` of the page before.")
    workflow_id: str | None = Field(None, description="Only those of this workflow.")
    status: Status | None = Field(None, description="Only those with this status.")


class ExecutionsView(View):
    """A page of executions."""

    executions: list[ExecutionView]
    next_cursor: str | None = Field(description="Continues the list; null at its end.")


@use_case("execution:read")
async def list_executions(services: Services, principal: Principal, request: ListExecutions) -> ExecutionsView:
    """List executions, newest first."""
    page = await services.store.list_executions(
        principal.project_id,
        limit=request.limit,
        cursor=request.cursor,
        workflow_id=request.workflow_id,
        status=request.status,
    )
    return ExecutionsView(executions=[ExecutionView.of(one) for one in page.items], next_cursor=page.next_cursor)
