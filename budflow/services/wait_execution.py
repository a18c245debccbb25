"""wait_execution: until an execution has ended, or for a while."""

import asyncio

from pydantic import Field

from budflow.model.execution import TERMINAL, Execution, ExecutionNotFound
from budflow.model.principal import Principal
from budflow.services.get_execution import ExecutionDetailView, GetExecution, get_execution
from budflow.services.use_case import RequestModel, Services, use_case

POLL_SECONDS = 0.1


class WaitExecution(RequestModel):
    """Which execution, how long."""

    execution_id: str
    wait_seconds: float = Field(30, ge=0, le=300, description="How long to wait at most.")


@use_case("execution:read")
async def wait_execution(services: Services, principal: Principal, request: WaitExecution) -> ExecutionDetailView:
    """Wait for the end of an execution; answers with what is known then, ended or not."""
    execution = await services.store.get_execution(principal.project_id, request.execution_id)
    if execution is None:
        raise ExecutionNotFound(f"There is no execution {request.execution_id}.")
    await wait_for_end(services, execution, request.wait_seconds)
    return await get_execution.run(services, principal, GetExecution(execution_id=execution.id))


async def wait_for_end(services: Services, execution: Execution, seconds: float) -> None:
    """Return when it has ended or the time is over. Told at once where it runs here; else the store is asked."""
    try:
        async with asyncio.timeout(seconds):
            while True:
                active = services.supervisor.active(execution.id)
                if active is not None:
                    await asyncio.wait([active.ended])
                    return
                row = await services.store.get_execution(execution.project_id, execution.id)
                if row is None or row.status in TERMINAL:
                    return
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        return
