"""POST /workflows/{workflow_id}/executions: run a workflow now."""

from budflow.api.examples import EXECUTION_DETAIL, WORKFLOW_ID
from budflow.api.route import STARTING, Example, Route
from budflow.services.get_execution import ExecutionDetailView
from budflow.services.start_execution import StartExecution, start_execution

ROUTE = Route(
    "POST",
    "/workflows/{workflow_id}/executions",
    start_execution,
    StartExecution,
    ExecutionDetailView,
    Example(
        answer=EXECUTION_DETAIL,
        parameters={"workflow_id": WORKFLOW_ID},
        body={"items": [{"body": {"name": "Ada"}}], "trigger": "hook", "wait_seconds": 10},
    ),
    status=202,
    headers=STARTING,
)
