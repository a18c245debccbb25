"""retry_execution: let a failed execution go on from its last good nodes, as a new one."""

from pydantic import Field

from budflow.errors import BudflowError
from budflow.execution.repeat import retry_events
from budflow.execution.stepwise import plan_of_run
from budflow.model.execution import TERMINAL, Origin
from budflow.model.principal import Principal
from budflow.services.get_execution import ExecutionDetailView, GetExecution, get_execution
from budflow.services.repetition import ExecutionNotEnded, find_origin, first_event, submit_repetition
from budflow.services.start_execution import WAIT_SECONDS_MAX
from budflow.services.use_case import RequestModel, Services, use_case
from budflow.services.wait_execution import wait_for_end


class RetryExecution(RequestModel):
    """Which execution."""

    execution_id: str
    wait_seconds: float = Field(
        0, ge=0, le=WAIT_SECONDS_MAX, description="How long to wait for the end; 0 answers at once."
    )


class NothingToRetry(BudflowError):
    """The execution succeeded: there is nothing left to do."""

    code = "execution.nothing_to_retry"
    http_status = 409
    hint = "Fork it to run a part of it again."


@use_case("execution:run")
async def retry_execution(services: Services, principal: Principal, request: RetryExecution) -> ExecutionDetailView:
    """Let a failed or cancelled execution go on from its last good nodes; as a new one, of the same version.

    What ended well is not run again, called workflows and single items included; what was done outside keeps its
    idempotency keys. Raises ExecutionNotEnded and NothingToRetry.
    """
    origin, events = await find_origin(services, principal, request.execution_id)
    if origin.status not in TERMINAL:
        raise ExecutionNotEnded(f"The execution is {origin.status}.")
    if origin.status == "succeeded":
        raise NothingToRetry
    admitted = first_event(events, principal, Origin(origin.id, "retry"))
    version, plan = await services.plans.get(principal.project_id, origin.workflow_id, origin.version, admitted.until)
    plan = plan_of_run(plan, admitted)
    kept = retry_events(plan, events, admitted)
    new = await submit_repetition(services, principal, origin, version, plan, admitted, kept, origin.effect_scope)
    if request.wait_seconds:
        await wait_for_end(services, new, request.wait_seconds)
    return await get_execution.run(services, principal, GetExecution(execution_id=new.id))
