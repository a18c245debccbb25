"""control_execution: stop what an agent started, or hold it up and let it go on."""

from typing import Literal

from pydantic import Field

from budflow.model.principal import Principal
from budflow.services.cancel_execution import CancelExecution, cancel_execution
from budflow.services.continue_execution import ContinueExecution, continue_execution
from budflow.services.pause_execution import PauseExecution, pause_execution
from budflow.services.use_case import RequestModel, Services, View
from budflow.services.views import ExecutionView
from mcp_server.tool import Tool


class ControlExecution(RequestModel):
    """What to do with which execution."""

    execution_id: str
    action: Literal["cancel", "pause", "continue"] = Field(
        description="`cancel` ends it for good; after `pause` no node starts until `continue`."
    )


class ControlledView(View):
    """The execution as it is now; it may take a moment until what runs has stopped."""

    execution: ExecutionView


async def control_execution(services: Services, principal: Principal, request: ControlExecution) -> ControlledView:
    """Cancel, pause or continue an execution."""
    execution_id = request.execution_id
    match request.action:
        case "cancel":
            view = await cancel_execution(services, principal, CancelExecution(execution_id=execution_id))
        case "pause":
            view = await pause_execution(services, principal, PauseExecution(execution_id=execution_id))
        case "continue":
            view = await continue_execution(services, principal, ContinueExecution(execution_id=execution_id))
    return ControlledView(execution=view)


TOOL = Tool.of(
    cancel_execution,
    title="Cancel, pause or continue",
    description=(
        "Cancel an execution, pause it, or continue a paused one; what it has done outside stays done. End or hold up "
        "what others started only when your user says so."
    ),
    call=control_execution,
    destructive=True,
)
