"""GET /workflows/{workflow_id}: a workflow with its document."""

from budflow.api.examples import VERSION, WORKFLOW_ID
from budflow.api.route import Example, Route
from budflow.services.get_workflow import GetWorkflow, get_workflow
from budflow.services.views import VersionView

ROUTE = Route(
    "GET",
    "/workflows/{workflow_id}",
    get_workflow,
    GetWorkflow,
    VersionView,
    Example(answer=VERSION, parameters={"workflow_id": WORKFLOW_ID}),
)
