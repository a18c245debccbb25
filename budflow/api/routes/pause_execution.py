"""POST /executions/{execution_id}/pause: start no more of its nodes."""

from budflow.api.examples import EXECUTION, EXECUTION_ID
from budflow.api.route import Example, Route
from budflow.services.pause_execution import PauseExecution, pause_execution
from budflow.services.views import ExecutionView

ROUTE = Route(
    "POST",
    "/executions/{execution_id}/pause",
    pause_execution,
    PauseExecution,
    ExecutionView,
    Example(
        answer={**EXECUTION, "status": "running", "finished_at": None, "duration_ms": None},
        parameters={"execution_id": EXECUTION_ID},
    ),
    status=202,
)
