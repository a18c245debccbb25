"""rollback_workflow: make an old version's document the newest version, and publish it when asked to."""

from pydantic import Field

from budflow.errors import BudflowError
from budflow.model.identity import utc_now
from budflow.model.principal import Principal
from budflow.model.workflow import VersionNotFound, VersionRecord, WorkflowNotFound
from budflow.services.check_credentials import check_document
from budflow.services.error_workflow import check_error_workflow
from budflow.services.publish_workflow import PublishWorkflow, publish_workflow
from budflow.services.use_case import NUMBER_MAX, RequestModel, Services, use_case
from budflow.services.views import SavedView


class RollbackWorkflow(RequestModel):
    """Which version of which workflow."""

    workflow_id: str
    version: int = Field(ge=1, le=NUMBER_MAX, description="The version to go back to.")
    publish: bool = Field(False, description="Publish what was stored at once.")
    expected_version: int | None = Field(
        None, ge=1, le=NUMBER_MAX, description="The latest version as you know it; refused where there is a later one."
    )


class VersionIsLatest(BudflowError):
    """That version is the latest already."""

    code = "workflow.version_is_latest"
    http_status = 409
    hint = "Publish it, or name an earlier version."


@use_case("workflow:write")
async def rollback_workflow(services: Services, principal: Principal, request: RollbackWorkflow) -> SavedView:
    """Store an old version's document again, as the newest version; no version is lost.

    Raises VersionConflict when somebody stores another meanwhile, and WorkflowInvalid, with nothing stored, when it is
    to be published and may not be.
    """
    if request.publish:
        principal.require(publish_workflow.permission)
    record = await services.store.get_workflow(principal.project_id, request.workflow_id)
    if record is None:
        raise WorkflowNotFound(f"There is no workflow {request.workflow_id}.")
    old = await services.store.get_version(principal.project_id, record.id, request.version)
    if old is None:
        raise VersionNotFound(f"The workflow `{record.name}` has no version {request.version}.")
    latest = request.expected_version or record.latest_version
    if request.version == record.latest_version:
        raise VersionIsLatest
    checked = await check_document(services, principal, old.document, workflow_id=record.id)
    workflow = checked.require("publish" if request.publish else "save")
    if request.publish:
        await check_error_workflow(services, principal, record.id, workflow)
    version = VersionRecord(
        workflow_id=record.id,
        project_id=principal.project_id,
        version=latest + 1,
        document=old.document,
        created_at=utc_now(),
        created_by=principal.id,
    )
    saved = SavedView.of(
        await services.store.add_version(version, name=workflow.name, expected_version=latest),
        version.version,
        checked.problems,
    )
    if not request.publish:
        return saved
    published = await publish_workflow(
        services, principal, PublishWorkflow(workflow_id=record.id, version=version.version)
    )
    return saved.model_copy(update={"workflow": published.workflow})
