"""What retrying and forking have in common: an execution to repeat, and the new one that goes on for it."""

from collections.abc import Sequence
from dataclasses import replace

from budflow.errors import BudflowError
from budflow.execution.limits import limit_of
from budflow.graph.plan import Plan
from budflow.model.event import Admitted, Event, NodeFinished
from budflow.model.execution import Execution, ExecutionNotFound, Origin
from budflow.model.identity import new_id, utc_now
from budflow.model.item import ItemList
from budflow.model.principal import Principal
from budflow.model.traceparent import traceparent_of
from budflow.model.workflow import VersionRecord, WorkflowNotFound
from budflow.services.check_credentials import require_credentials
from budflow.services.read_journal import read_journal
from budflow.services.use_case import Services


class ExecutionNotEnded(BudflowError):
    """The execution has not ended."""

    code = "execution.not_ended"
    http_status = 409
    hint = "Wait for its end, or cancel it first."


async def find_origin(services: Services, principal: Principal, execution_id: str) -> tuple[Execution, list[Event]]:
    """An execution with its journal, of a workflow that is still there. Raises ExecutionNotFound, WorkflowNotFound."""
    project = principal.project_id
    execution = await services.store.get_execution(project, execution_id)
    if execution is None:
        raise ExecutionNotFound(f"There is no execution {execution_id}.")
    if await services.store.get_workflow(project, execution.workflow_id) is None:
        raise WorkflowNotFound(f"The workflow {execution.workflow_id} was deleted: nothing of it starts any more.")
    return execution, await read_journal(services.store, execution)


def first_event(
    events: Sequence[Event], principal: Principal, origin: Origin, items: ItemList | None = None
) -> Admitted:
    """What a repetition begins with: what came in then, or other `items`; nobody called it."""
    admitted = next(event for event in events if isinstance(event, Admitted))
    return replace(
        admitted,
        at=utc_now(),
        mode=principal.door,
        principal=principal.id,
        items=admitted.items if items is None else items,
        parent=None,
        origin=origin,
        callers=(),
    )


async def submit_repetition(
    services: Services,
    principal: Principal,
    execution: Execution,
    version: VersionRecord,
    plan: Plan,
    admitted: Admitted,
    kept: tuple[Event, ...],
    scope: str | None,
) -> Execution:
    """Admit the new execution.

    Raises WorkflowInvalid where it lacks a credential, QueueFull, LimitReached and ConcurrencyKeyFailed, with nothing
    stored.
    """
    if plan.credentials:
        done = {event.node for event in kept if isinstance(event, NodeFinished) and not event.rounds}
        pinned = {need.node for need in plan.credentials if need.pinned and admitted.pinned}
        await require_credentials(services, principal, plan, version, without=done | pinned)
    execution_id = new_id("exe")
    new = Execution(
        id=execution_id,
        project_id=execution.project_id,
        workflow_id=execution.workflow_id,
        version=version.version,
        mode=admitted.mode,
        status="queued",
        created_at=admitted.at,
        priority=plan.settings.priority,
        origin=admitted.origin,
        scope=scope,
        traceparent=traceparent_of(execution_id, execution.traceparent),
    )
    new = replace(new, limit=limit_of(plan, new, admitted.items, services.supervisor.surroundings))
    active = await services.supervisor.submit(new, admitted, version, plan, reused=kept)
    return active.execution if active is not None else new
