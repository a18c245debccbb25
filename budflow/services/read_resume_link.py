"""read_resume_link: what the holder of a resume link is asked; looking changes nothing."""

import asyncio
from datetime import datetime
from typing import Any

from pydantic import Field

from budflow.errors import BudflowError
from budflow.execution.records import OpenWait
from budflow.model.execution import TERMINAL, ExecutionNotFound, WaitClosed, WaitReason
from budflow.model.identity import utc_now
from budflow.model.principal import Principal
from budflow.model.wait import WantedWaits
from budflow.services.resume_links import LINKABLE, ResumeLink
from budflow.services.use_case import RequestModel, Services, View, use_case

NAMED_MAX = 20
#: Whom a link was sent to may be faster than the node that waits for the answer is reached.
OPENING_SECONDS = 3.0


class WaitAmbiguous(BudflowError):
    """Several nodes of the execution wait for an answer."""

    code = "wait.ambiguous"
    http_status = 409
    hint = "Add `?node=` with one of the paths in `nodes` to the address."


class ReadResumeLink(RequestModel):
    """The token of a link; which wait, where there are several."""

    token: str
    node: str | None = Field(None, description="The path of the node that waits.")


class AskedView(View):
    """What is asked of who has the link."""

    execution_id: str
    node: str
    reason: WaitReason
    text: str
    fields: list[dict[str, Any]] = Field(description="Of a form: `name`, `label`, `type`, `required` of each field.")
    until: datetime | None = Field(description="When the wait is over by itself; null: never.")
    expires_at: datetime = Field(description="When the link expires.")


@use_case("execution:read")
async def read_resume_link(services: Services, principal: Principal, request: ReadResumeLink) -> AskedView:
    """Show what a resume link asks for; nothing is answered by that."""
    link = services.links.read(request.token)
    wait = await wait_of_link(services, link, request.node)
    return AskedView(
        execution_id=wait.execution_id,
        node=wait.node,
        reason=wait.reason,
        text=str(wait.ask.get("text") or ""),
        fields=wait.ask.get("fields") or [],
        until=wait.until,
        expires_at=link.expires_at,
    )


async def wait_of_link(services: Services, link: ResumeLink, node: str | None) -> OpenWait:
    """The open wait that is meant. Raises WaitClosed, WaitAmbiguous, ExecutionNotFound."""
    wanted = WantedWaits(execution_id=link.execution_id, node=link.node or node, reasons=LINKABLE)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + OPENING_SECONDS
    with services.supervisor.watched.watch(link.execution_id) as watch:
        while not (waits := await _open_waits(services, link, wanted, late=loop.time() > deadline)):
            await watch.news()
    if len(waits) > 1:
        message = f"{len(waits)} nodes of the execution wait for an answer."
        raise WaitAmbiguous(message, nodes=[wait.node for wait in waits[:NAMED_MAX]])
    return waits[0]


async def _open_waits(services: Services, link: ResumeLink, wanted: WantedWaits, *, late: bool) -> list[OpenWait]:
    """Those that may be answered; none where there will be one soon. Raises WaitClosed, ExecutionNotFound."""
    found = await services.store.list_waits(link.project_id, wanted)
    waits = [wait for wait in found if not wait.answered and (wait.until is None or wait.until > utc_now())]
    if waits:
        return waits
    execution = await services.store.get_execution(link.project_id, link.execution_id)
    if execution is None:
        raise ExecutionNotFound("The execution of this link is not there any more.")
    busy = link.node is None and execution.status in ("queued", "running") and not found
    if late or not busy:
        raise WaitClosed(_closed(execution.status, answered=bool(found)))
    return []


def _closed(status: str, *, answered: bool) -> str:
    if answered:
        return "This was answered before, or is out of time."
    return f"The execution has ended: {status}." if status in TERMINAL else "Nothing waits for this answer any more."
