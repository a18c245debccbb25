"""wait_execution: until an execution has ended or rests on a person, or for a while."""

import asyncio

from pydantic import Field

from budflow.execution.watched import Watch
from budflow.model.execution import TERMINAL, Execution, ExecutionNotFound, WaitReason
from budflow.model.identity import utc_now
from budflow.model.principal import Principal
from budflow.services.get_execution import ExecutionDetailView, GetExecution, get_execution
from budflow.services.use_case import RequestModel, Services, use_case

#: What only somebody outside can end: there is no use in waiting for it here.
ON_SOMEBODY: frozenset[WaitReason] = frozenset({"approval", "form", "webhook", "ask", "paused"})


class WaitExecution(RequestModel):
    """Which execution, how long."""

    execution_id: str
    wait_seconds: float = Field(30, ge=0, le=300, description="How long to wait at most.")


@use_case("execution:read")
async def wait_execution(services: Services, principal: Principal, request: WaitExecution) -> ExecutionDetailView:
    """Wait for the end of an execution; answers earlier where it waits for somebody, such as for an approval."""
    execution = await services.store.get_execution(principal.project_id, request.execution_id)
    if execution is None:
        raise ExecutionNotFound(f"There is no execution {request.execution_id}.")
    await wait_for_end(services, execution, request.wait_seconds)
    return await get_execution.run(services, principal, GetExecution(execution_id=execution.id))


async def wait_for_end(services: Services, execution: Execution, seconds: float | None) -> None:
    """Return when it has ended, rests on somebody outside, or the time is over (None: never).

    Told at once where it runs here; else it is watched.
    """
    try:
        with services.supervisor.watched.watch(execution.id) as watch:
            async with asyncio.timeout(seconds):
                await _end_or_rest(services, execution, watch)
    except TimeoutError:
        return


async def _end_or_rest(services: Services, execution: Execution, watch: Watch) -> None:
    while True:
        active = services.supervisor.active(execution.id)
        if active is not None:
            await asyncio.wait([active.ended])
            if active.ended.exception() is None:
                return
        row = await services.store.get_execution(execution.project_id, execution.id)
        if row is None or row.status in TERMINAL or rests_on_somebody(row):
            return
        if services.supervisor.active(execution.id) is None:
            await watch.news()


def rests_on_somebody(execution: Execution) -> bool:
    """Whether it goes on only when somebody answers or continues it, and nobody has."""
    due = execution.wake_at is not None and execution.wake_at <= utc_now()
    return execution.status == "waiting" and execution.waiting in ON_SOMEBODY and not due
