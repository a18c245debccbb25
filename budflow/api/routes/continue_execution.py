"""POST /executions/{execution_id}/continue: let a paused one go on."""

from budflow.api.examples import EXECUTION, EXECUTION_ID
from budflow.api.route import Example, Route
from budflow.services.continue_execution import ContinueExecution, continue_execution
from budflow.services.views import ExecutionView

ROUTE = Route(
    "POST",
    "/executions/{execution_id}/continue",
    continue_execution,
    ContinueExecution,
    ExecutionView,
    Example(
        answer={**EXECUTION, "status": "waiting", "waiting": "paused", "finished_at": None, "duration_ms": None},
        parameters={"execution_id": EXECUTION_ID},
    ),
    status=202,
)
