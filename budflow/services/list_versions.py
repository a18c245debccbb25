"""list_versions: every saved version of a workflow, newest first."""

from datetime import datetime

from budflow.model.principal import Principal
from budflow.model.workflow import WorkflowNotFound
from budflow.services.use_case import RequestModel, Services, View, use_case


class ListVersions(RequestModel):
    """Which workflow."""

    workflow_id: str


class VersionSummaryView(View):
    """One version, without its document."""

    version: int
    published: bool
    created_at: datetime
    created_by: str


class VersionsView(View):
    """All versions."""

    versions: list[VersionSummaryView]


@use_case("workflow:read")
async def list_versions(services: Services, principal: Principal, request: ListVersions) -> VersionsView:
    """List the versions of a workflow, newest first."""
    record = await services.store.get_workflow(principal.project_id, request.workflow_id)
    if record is None:
        raise WorkflowNotFound(f"There is no workflow {request.workflow_id}.")
    versions = await services.store.list_versions(principal.project_id, record.id)
    return VersionsView(
        versions=[
            VersionSummaryView(
                version=one.version,
                published=one.version == record.published_version,
                created_at=one.created_at,
                created_by=one.created_by,
            )
            for one in versions
        ]
    )
