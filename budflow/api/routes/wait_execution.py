"""GET /executions/{execution_id}/wait: until it has ended, or for a while."""

from budflow.api.examples import EXECUTION_DETAIL, EXECUTION_ID
from budflow.api.route import Example, Route
from budflow.services.get_execution import ExecutionDetailView
from budflow.services.wait_execution import WaitExecution, wait_execution

ROUTE = Route(
    "GET",
    "/executions/{execution_id}/wait",
    wait_execution,
    WaitExecution,
    ExecutionDetailView,
    Example(answer=EXECUTION_DETAIL, parameters={"execution_id": EXECUTION_ID, "wait_seconds": 30}),
)
