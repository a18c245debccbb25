"""POST /executions/{execution_id}/fork: run it again from a node on, as a new execution."""

from budflow.api.examples import EXECUTION, EXECUTION_DETAIL, EXECUTION_ID
from budflow.api.route import Example, Route
from budflow.services.fork_execution import ForkExecution, fork_execution
from budflow.services.get_execution import ExecutionDetailView

_ORIGIN = {"execution_id": EXECUTION_ID, "kind": "fork", "node": "greet"}

ROUTE = Route(
    "POST",
    "/executions/{execution_id}/fork",
    fork_execution,
    ForkExecution,
    ExecutionDetailView,
    Example(
        answer={**EXECUTION_DETAIL, "execution": {**EXECUTION, "origin": _ORIGIN}},
        parameters={"execution_id": EXECUTION_ID},
        body={"node": "greet", "wait_seconds": 10},
    ),
    status=202,
)
