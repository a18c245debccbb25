"""create_workflow: store a new workflow as version 1, unpublished."""

from typing import Any

from pydantic import Field

from budflow.graph.pin import pin_types
from budflow.model.identity import new_id, utc_now
from budflow.model.principal import Principal
from budflow.model.workflow import VersionRecord, WorkflowRecord
from budflow.services.check_credentials import check_document
from budflow.services.use_case import RequestModel, Services, use_case
from budflow.services.views import SavedView


class CreateWorkflow(RequestModel):
    """A new workflow."""

    document: dict[str, Any] = Field(description="The whole workflow document.")


@use_case("workflow:write")
async def create_workflow(services: Services, principal: Principal, request: CreateWorkflow) -> SavedView:
    """Store a new workflow as version 1. Structural problems refuse it; others are listed and block only publishing."""
    workflow_id = new_id("wf")
    checked = await check_document(services, principal, request.document, workflow_id=workflow_id)
    workflow = checked.require("save")
    now = utc_now()
    record = WorkflowRecord(
        id=workflow_id,
        project_id=principal.project_id,
        name=workflow.name,
        latest_version=1,
        published_version=None,
        created_at=now,
        updated_at=now,
    )
    document = pin_types(request.document, services.registry)
    version = VersionRecord(record.id, principal.project_id, 1, document, now, principal.id)
    await services.store.add_workflow(record, version)
    return SavedView.of(record, 1, checked.problems)
