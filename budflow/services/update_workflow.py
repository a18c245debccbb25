"""update_workflow: store the next version of a workflow."""

from typing import Any

from pydantic import Field

from budflow.graph.pin import pin_types
from budflow.model.identity import utc_now
from budflow.model.principal import Principal
from budflow.model.workflow import VersionRecord
from budflow.services.check_credentials import check_document
from budflow.services.use_case import NUMBER_MAX, RequestModel, Services, use_case
from budflow.services.views import SavedView


class UpdateWorkflow(RequestModel):
    """The next version of a workflow."""

    workflow_id: str
    document: dict[str, Any] = Field(description="The whole workflow document, changed.")
    expected_version: int = Field(ge=1, lt=NUMBER_MAX, description="The latest version, which the change started from.")


@use_case("workflow:write")
async def update_workflow(services: Services, principal: Principal, request: UpdateWorkflow) -> SavedView:
    """Store a changed document as the next version; the published version stays as it is until you publish again."""
    checked = await check_document(services, principal, request.document, workflow_id=request.workflow_id)
    workflow = checked.require("save")
    version = VersionRecord(
        workflow_id=request.workflow_id,
        project_id=principal.project_id,
        version=request.expected_version + 1,
        document=pin_types(request.document, services.registry),
        created_at=utc_now(),
        created_by=principal.id,
    )
    record = await services.store.add_version(version, name=workflow.name, expected_version=request.expected_version)
    return SavedView.of(record, version.version, checked.problems)
