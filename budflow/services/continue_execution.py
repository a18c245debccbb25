"""continue_execution: let a paused execution go on."""

from budflow.model.event import Continued
from budflow.model.execution import ExecutionNotFound
from budflow.model.identity import utc_now
from budflow.model.principal import Principal
from budflow.services.use_case import RequestModel, Services, use_case
from budflow.services.views import ExecutionView


class ContinueExecution(RequestModel):
    """Which execution."""

    execution_id: str


@use_case("execution:run")
async def continue_execution(services: Services, principal: Principal, request: ContinueExecution) -> ExecutionView:
    """Continue a paused execution where it stopped; one that is not paused stays as it is."""
    event = Continued(utc_now(), principal.id)
    row = await services.supervisor.signal(principal.project_id, request.execution_id, event)
    if row is None:
        raise ExecutionNotFound(f"There is no execution {request.execution_id}.")
    return ExecutionView.of(row)
