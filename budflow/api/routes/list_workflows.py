"""GET /workflows: what there is, newest first."""

from budflow.api.examples import WORKFLOW
from budflow.api.route import Example, Route
from budflow.services.list_workflows import ListWorkflows, WorkflowsView, list_workflows

ROUTE = Route(
    "GET",
    "/workflows",
    list_workflows,
    ListWorkflows,
    WorkflowsView,
    Example(answer={"workflows": [WORKFLOW], "next_cursor": None}, parameters={"limit": 50, "name": "greet"}),
)
