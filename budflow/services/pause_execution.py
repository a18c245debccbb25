"""pause_execution: let an execution start no more nodes until somebody continues it."""

from budflow.model.event import Paused
from budflow.model.execution import ExecutionNotFound
from budflow.model.identity import utc_now
from budflow.model.principal import Principal
from budflow.services.use_case import RequestModel, Services, use_case
from budflow.services.views import ExecutionView


class PauseExecution(RequestModel):
    """Which execution."""

    execution_id: str


@use_case("execution:run")
async def pause_execution(services: Services, principal: Principal, request: PauseExecution) -> ExecutionView:
    """Pause an execution: no node starts any more, those that run go on to their end. Then it waits: `paused`."""
    event = Paused(utc_now(), principal.id)
    row = await services.supervisor.signal(principal.project_id, request.execution_id, event)
    if row is None:
        raise ExecutionNotFound(f"There is no execution {request.execution_id}.")
    return ExecutionView.of(row)
