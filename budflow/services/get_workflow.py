"""get_workflow: one version of a workflow with its document."""

from pydantic import Field

from budflow.model.principal import Principal
from budflow.model.workflow import VersionNotFound, WorkflowNotFound
from budflow.services.use_case import NUMBER_MAX, RequestModel, Services, use_case
from budflow.services.views import VersionView


class GetWorkflow(RequestModel):
    """Which workflow, which version."""

    workflow_id: str
    version: int | None = Field(None, ge=1, le=NUMBER_MAX, description="The latest version when left out.")


@use_case("workflow:read")
async def get_workflow(services: Services, principal: Principal, request: GetWorkflow) -> VersionView:
    """Read a workflow and the document of one of its versions."""
    record = await services.store.get_workflow(principal.project_id, request.workflow_id)
    if record is None:
        raise WorkflowNotFound(f"There is no workflow {request.workflow_id}.")
    number = request.version or record.latest_version
    version = await services.store.get_version(principal.project_id, record.id, number)
    if version is None:
        raise VersionNotFound(f"The workflow `{record.name}` has no version {number}.")
    return VersionView.of(record, version)
