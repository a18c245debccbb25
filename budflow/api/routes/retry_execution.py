"""POST /executions/{execution_id}/retry: go on from the last good nodes, as a new execution."""

from budflow.api.examples import EXECUTION, EXECUTION_DETAIL, EXECUTION_ID
from budflow.api.route import Example, Route
from budflow.services.get_execution import ExecutionDetailView
from budflow.services.retry_execution import RetryExecution, retry_execution

_ORIGIN = {"execution_id": EXECUTION_ID, "kind": "retry", "node": None}

ROUTE = Route(
    "POST",
    "/executions/{execution_id}/retry",
    retry_execution,
    RetryExecution,
    ExecutionDetailView,
    Example(
        answer={**EXECUTION_DETAIL, "execution": {**EXECUTION, "origin": _ORIGIN}},
        parameters={"execution_id": EXECUTION_ID},
        body={"wait_seconds": 10},
    ),
    status=202,
)
