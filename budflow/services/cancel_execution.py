"""cancel_execution: stop an execution, wherever it runs."""

from budflow.model.execution import TERMINAL, ExecutionEnded, ExecutionNotFound
from budflow.model.principal import Principal
from budflow.services.use_case import RequestModel, Services, use_case
from budflow.services.views import ExecutionView


class CancelExecution(RequestModel):
    """Which execution."""

    execution_id: str


@use_case("execution:run")
async def cancel_execution(services: Services, principal: Principal, request: CancelExecution) -> ExecutionView:
    """Cancel an execution. It ends as `cancelled` as soon as what runs has stopped; watch its status."""
    before = await services.store.get_execution(principal.project_id, request.execution_id)
    if before is None:
        raise ExecutionNotFound(f"There is no execution {request.execution_id}.")
    if before.status in TERMINAL:
        raise ExecutionEnded(f"The execution has ended already: {before.status}.")
    after = await services.supervisor.cancel(principal.project_id, request.execution_id, principal.id)
    return ExecutionView.of(after or before)
