"""delete_workflow: remove a workflow and its webhooks; its executions stay readable."""

from budflow.model.principal import Principal
from budflow.model.workflow import WorkflowNotFound
from budflow.services.use_case import RequestModel, Services, View, use_case


class DeleteWorkflow(RequestModel):
    """Which workflow."""

    workflow_id: str


class DeletedView(View):
    """What was removed."""

    deleted: str


@use_case("workflow:write")
async def delete_workflow(services: Services, principal: Principal, request: DeleteWorkflow) -> DeletedView:
    """Delete a workflow and its webhooks. Running executions go on; past ones stay readable."""
    if not await services.store.delete_workflow(principal.project_id, request.workflow_id):
        raise WorkflowNotFound(f"There is no workflow {request.workflow_id}.")
    await services.triggers.refresh()
    services.wakes.tell("triggers", request.workflow_id)
    return DeletedView(deleted=request.workflow_id)
