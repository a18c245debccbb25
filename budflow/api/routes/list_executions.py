"""GET /executions: what ran, newest first."""

from budflow.api.examples import EXECUTION, WORKFLOW_ID
from budflow.api.route import Example, Route
from budflow.services.list_executions import ExecutionsView, ListExecutions, list_executions

ROUTE = Route(
    "GET",
    "/executions",
    list_executions,
    ListExecutions,
    ExecutionsView,
    Example(
        answer={"executions": [EXECUTION], "next_cursor": None},
        parameters={"limit": 50, "workflow_id": WORKFLOW_ID, "status": "succeeded"},
    ),
)
