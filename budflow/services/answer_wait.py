"""answer_wait: end an open wait by an answer, once: an approval, a form, what to do after a crash."""

from dataclasses import replace
from typing import Any

from pydantic import Field

from budflow.execution.doubt import DECISIONS
from budflow.execution.records import OpenWait
from budflow.model.event import WaitEnded
from budflow.model.execution import ExecutionNotFound, WaitClosed, WaitReason
from budflow.model.identity import utc_now
from budflow.model.journal import EventUnwritable
from budflow.model.path import parse_path
from budflow.model.principal import PermissionMissing, Principal
from budflow.model.wait import ANSWERABLE, WantedWaits
from budflow.nodes.flow.wait import AnswerInvalid, checked_answer
from budflow.services.use_case import RequestModel, Services, use_case
from budflow.services.views import WaitView

NAMED_MAX = 20


class AnswerWait(RequestModel):
    """Which wait, and the answer."""

    execution_id: str
    node_path: str = Field(description="The node that waits, such as `ask`, or `ask[3]` in the fourth round of a loop.")
    answer: Any = Field(
        None,
        description='For `approval` {"approved": true or false, "comment": "..."}; for `form` an object of its fields; '
        "for `ask` one of `run`, `fail`, `skip`; for `webhook` whatever the workflow expects.",
    )


@use_case("execution:run")
async def answer_wait(services: Services, principal: Principal, request: AnswerWait) -> WaitView:
    """Answer an open wait of an execution, which then goes on. Only the first answer counts; approvals record who."""
    execution = await services.store.get_execution(principal.project_id, request.execution_id)
    if execution is None:
        raise ExecutionNotFound(f"There is no execution {request.execution_id}.")
    wanted = WantedWaits(execution_id=execution.id, node=request.node_path, reasons=ANSWERABLE)
    found = await services.store.list_waits(principal.project_id, wanted)
    if not found:
        others = WantedWaits(execution_id=execution.id, reasons=ANSWERABLE)
        paths = [one.node for one in await services.store.list_waits(principal.project_id, others, limit=NAMED_MAX)]
        message = f"No node `{request.node_path[:100]}` waits for an answer: there is none, or its wait is over."
        advice = f"These wait for an answer: {', '.join(paths)}." if paths else None
        raise WaitClosed(message, hint=advice, open=paths)
    wait = next((one for one in found if not one.answered), found[0])
    return WaitView.of(await take_answer(services, principal, wait, request.answer), services.links, principal)


async def take_answer(services: Services, principal: Principal, wait: OpenWait, answer: Any) -> OpenWait:
    """Check the answer and hand it to the execution; it is durable when this returns. Gives the wait as it is then.

    Raises WaitClosed, AnswerInvalid, and PermissionMissing where the wait names approvers and this is none of them.
    """
    now = utc_now()
    if wait.answered:
        raise WaitClosed(f"`{wait.node}` was answered before.")
    if wait.until is not None and wait.until <= now:
        raise WaitClosed(f"`{wait.node}` waited until {wait.until:%Y-%m-%d %H:%M:%S} UTC, and no longer.")
    approvers = wait.ask.get("approvers")
    if wait.reason == "approval" and approvers and principal.id not in approvers:
        raise PermissionMissing(
            f"`{wait.node}` is for others to decide.", hint="Let one of the approvers that the wait names decide it."
        )
    checked = _checked(wait.reason, wait, answer)
    if wait.reason == "approval":
        checked = {**checked, "by": principal.id}
    node, rounds = parse_path(wait.node)
    number = int(wait.key.rpartition(":")[2])
    event = WaitEnded(now, node, number, "answered", principal.id, checked, rounds)
    try:
        await services.supervisor.answer(wait.project_id, wait.execution_id, event)
    except EventUnwritable as error:
        raise AnswerInvalid("The answer holds a number past 64 bits, or half of a surrogate pair.") from error
    return replace(wait, answered=True)


def _checked(reason: WaitReason, wait: OpenWait, answer: Any) -> Any:
    if reason != "ask":
        return checked_answer(reason, wait.ask, answer)
    if answer not in DECISIONS:
        raise AnswerInvalid(f"The answer must be one of {', '.join(DECISIONS)}.")
    return answer
