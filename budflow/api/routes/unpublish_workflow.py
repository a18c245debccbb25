"""POST /workflows/{workflow_id}/unpublish: disarm its triggers."""

from budflow.api.examples import WORKFLOW, WORKFLOW_ID
from budflow.api.route import Example, Route
from budflow.services.unpublish_workflow import UnpublishWorkflow, unpublish_workflow
from budflow.services.views import WorkflowView

ROUTE = Route(
    "POST",
    "/workflows/{workflow_id}/unpublish",
    unpublish_workflow,
    UnpublishWorkflow,
    WorkflowView,
    Example(answer=WORKFLOW, parameters={"workflow_id": WORKFLOW_ID}),
)
