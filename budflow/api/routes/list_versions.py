"""GET /workflows/{workflow_id}/versions: every save of a workflow, newest first."""

from budflow.api.examples import WORKFLOW_ID
from budflow.api.route import Example, Route
from budflow.services.list_versions import ListVersions, VersionsView, list_versions

ROUTE = Route(
    "GET",
    "/workflows/{workflow_id}/versions",
    list_versions,
    ListVersions,
    VersionsView,
    Example(
        answer={
            "versions": [{"version": 1, "published": True, "created_at": "2026-01-05T09:00:00Z", "created_by": "owner"}]
        },
        parameters={"workflow_id": WORKFLOW_ID},
    ),
)
