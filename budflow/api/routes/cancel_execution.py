"""POST /executions/{execution_id}/cancel: stop it."""

from budflow.api.examples import EXECUTION, EXECUTION_ID
from budflow.api.route import Example, Route
from budflow.services.cancel_execution import CancelExecution, cancel_execution
from budflow.services.views import ExecutionView

ROUTE = Route(
    "POST",
    "/executions/{execution_id}/cancel",
    cancel_execution,
    CancelExecution,
    ExecutionView,
    Example(
        answer={**EXECUTION, "status": "running", "cancelling": True, "finished_at": None, "duration_ms": None},
        parameters={"execution_id": EXECUTION_ID},
    ),
    status=202,
)
