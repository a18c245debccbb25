"""list_workflows: the workflows of the project, newest first."""

from pydantic import Field

from budflow.model.principal import Principal
from budflow.services.use_case import RequestModel, Services, View, use_case
from budflow.services.views import WorkflowView


class ListWorkflows(RequestModel):
    """Which workflows."""

    limit: int = Field(50, ge=1, le=200, description="How many at most.")
    cursor: str | None = Field(None, pattern=r"^wf_[0-9a-f]{32}$", description="`next_cursor` of the page before.")
    name: str | None = Field(None, description="Only those whose name contains this, in any case.")


class WorkflowsView(View):
    """A page of workflows."""

    workflows: list[WorkflowView]
    next_cursor: str | None = Field(description="Continues the list; null at its end.")


@use_case("workflow:read")
async def list_workflows(services: Services, principal: Principal, request: ListWorkflows) -> WorkflowsView:
    """List the workflows of the project, newest first."""
    page = await services.store.list_workflows(
        principal.project_id, limit=request.limit, cursor=request.cursor, name=request.name
    )
    return WorkflowsView(workflows=[WorkflowView.of(record) for record in page.items], next_cursor=page.next_cursor)
