"""PUT /workflows/{workflow_id}: store the next version."""

from budflow.api.examples import DOCUMENT, WORKFLOW, WORKFLOW_ID
from budflow.api.route import Example, Route
from budflow.services.update_workflow import UpdateWorkflow, update_workflow
from budflow.services.views import SavedView

ROUTE = Route(
    "PUT",
    "/workflows/{workflow_id}",
    update_workflow,
    UpdateWorkflow,
    SavedView,
    Example(
        answer={"workflow": {**WORKFLOW, "latest_version": 2}, "version": 2, "problems": []},
        parameters={"workflow_id": WORKFLOW_ID},
        body={"document": DOCUMENT, "expected_version": 1},
    ),
)
