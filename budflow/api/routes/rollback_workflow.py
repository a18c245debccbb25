"""POST /workflows/{workflow_id}/rollback: make an old version the newest one."""

from budflow.api.examples import WORKFLOW, WORKFLOW_ID
from budflow.api.route import Example, Route
from budflow.services.rollback_workflow import RollbackWorkflow, rollback_workflow
from budflow.services.views import SavedView

ROUTE = Route(
    "POST",
    "/workflows/{workflow_id}/rollback",
    rollback_workflow,
    RollbackWorkflow,
    SavedView,
    Example(
        answer={"workflow": {**WORKFLOW, "latest_version": 3, "published_version": 3}, "version": 3, "problems": []},
        parameters={"workflow_id": WORKFLOW_ID},
        body={"version": 1, "publish": True},
    ),
    status=201,
)
