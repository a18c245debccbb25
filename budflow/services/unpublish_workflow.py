"""unpublish_workflow: disarm a workflow's triggers."""

from budflow.model.principal import Principal
from budflow.services.use_case import RequestModel, Services, use_case
from budflow.services.views import WorkflowView


class UnpublishWorkflow(RequestModel):
    """Which workflow."""

    workflow_id: str


@use_case("workflow:publish")
async def unpublish_workflow(services: Services, principal: Principal, request: UnpublishWorkflow) -> WorkflowView:
    """Disarm the triggers of a workflow; running executions go on."""
    record = await services.store.publish(principal.project_id, request.workflow_id, None, [])
    await services.triggers.refresh()
    services.wakes.tell("triggers", request.workflow_id)
    return WorkflowView.of(record)
