"""GET /executions/{execution_id}: what it did, as far as asked for."""

from budflow.api.examples import EXECUTION_DETAIL, EXECUTION_ID
from budflow.api.route import Example, Route
from budflow.services.get_execution import ExecutionDetailView, GetExecution, get_execution

ROUTE = Route(
    "GET",
    "/executions/{execution_id}",
    get_execution,
    GetExecution,
    ExecutionDetailView,
    Example(answer=EXECUTION_DETAIL, parameters={"execution_id": EXECUTION_ID, "detail": "nodes"}),
)
