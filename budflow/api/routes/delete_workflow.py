"""DELETE /workflows/{workflow_id}: remove a workflow; its executions stay."""

from budflow.api.examples import WORKFLOW_ID
from budflow.api.route import Example, Route
from budflow.services.delete_workflow import DeletedView, DeleteWorkflow, delete_workflow

ROUTE = Route(
    "DELETE",
    "/workflows/{workflow_id}",
    delete_workflow,
    DeleteWorkflow,
    DeletedView,
    Example(answer={"deleted": WORKFLOW_ID}, parameters={"workflow_id": WORKFLOW_ID}),
)
