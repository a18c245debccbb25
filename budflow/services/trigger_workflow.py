"""trigger_workflow: a trigger fired; admit an execution. What webhooks and starts by hand have in common."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from budflow.execution.active import Active
from budflow.execution.children import inputs_of
from budflow.execution.limits import limit_of
from budflow.execution.records import AdmissionKey, ScheduleSlot, TriggerKey
from budflow.model.event import Admitted
from budflow.model.execution import Execution, KeyKnown, Mode
from budflow.model.identity import new_id, utc_now
from budflow.model.item import ItemList
from budflow.model.principal import Principal
from budflow.model.traceparent import traceparent_of
from budflow.nodes.trigger.schedule import ScheduleParams, scheduled_by_hand
from budflow.services.check_credentials import require_credentials
from budflow.services.idempotency_key import FirstNotKept, RequestKey
from budflow.services.use_case import Services, use_case


@dataclass(frozen=True, slots=True)
class TriggerEvent:
    """What made a trigger fire. `version` None means the published one; `trigger` None the `trigger.manual`.

    With `durable` the execution is stored when the use case returns; see Supervisor.submit. `priority` is added to
    the workflow's own. A partial run ends at the node `until`; with `pinned`, nodes give what is pinned to them. Of one
    `slot` of a schedule there is one execution; it has no `key` of its own. `credentials` are the ids of those that the
    door has used, by slot.
    """

    workflow_id: str
    items: ItemList
    mode: Mode
    version: int | None = None
    trigger: str | None = None
    durable: bool = True
    key: RequestKey | None = None
    slot: ScheduleSlot | None = None
    priority: int = 0
    until: str | None = None
    pinned: bool = False
    traceparent: str | None = None
    credentials: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Triggered:
    """The execution that was admitted, or with `repeated` the one that an equal request was answered with before.

    `active` is None where it is not being advanced by this process, because it waits in the queue for instance.
    """

    execution: Execution
    active: Active | None
    repeated: bool = False


@use_case("execution:run")
async def trigger_workflow(services: Services, principal: Principal, event: TriggerEvent) -> Triggered:
    """Admit one execution of a workflow.

    Raises WorkflowInvalid, QueueFull, LimitReached, KeyReused, SlotFired, SlotSettled, InputInvalid and
    ConcurrencyKeyFailed, with nothing stored.
    """
    project = principal.project_id
    if event.version is None:
        version, plan = await services.plans.get_to_run(project, event.workflow_id)
    else:
        version, plan = await services.plans.get_to_try(project, event.workflow_id, event.version, event.until)
    if plan.credentials and event.mode != "webhook":
        # Whoever starts it by hand is told at once. A webhook does not wait for that: it was asked when the version was
        # published, and the node's own opening asks in any case.
        pinned = (need.node for need in plan.credentials if need.pinned and event.pinned)
        await require_credentials(services, principal, plan, version, without=pinned)
    trigger = plan.trigger(event.trigger)
    now, execution_id = utc_now(), new_id("exe")
    items = inputs_of(trigger, event.items)
    if isinstance(trigger.params.fixed, ScheduleParams):
        items = scheduled_by_hand(trigger.params.fixed.schedule(plan.settings.timezone), items, now)
    execution = Execution(
        id=execution_id,
        project_id=project,
        workflow_id=event.workflow_id,
        version=version.version,
        mode=event.mode,
        status="queued",
        created_at=now,
        priority=plan.settings.priority + event.priority,
        traceparent=traceparent_of(execution_id, event.traceparent),
    )
    if (limit := limit_of(plan, execution, items, services.supervisor.surroundings)) is not None:
        execution = replace(execution, limit=limit)
    admitted = Admitted(
        now,
        trigger.key,
        event.mode,
        principal.id,
        items,
        pinned=event.pinned,
        until=event.until,
        credentials=event.credentials,
    )
    key: AdmissionKey | None = event.slot
    if event.key is not None:
        key = _trigger_key(project, event, event.key)
    try:
        active = await services.supervisor.submit(
            execution, admitted, version, plan, durable=event.durable, trigger_key=key
        )
    except KeyKnown as known:
        return await _first(services, project, str(known.details["execution_id"]))
    return Triggered(active.execution if active is not None else execution, active)


def _trigger_key(project: str, event: TriggerEvent, key: RequestKey) -> TriggerKey:
    # By the trigger that was asked for: a repetition asks for the same, whatever was published meanwhile.
    return TriggerKey(project, f"{event.workflow_id}/{event.trigger or ''}/{key.text}", key.fingerprint)


async def _first(services: Services, project: str, execution_id: str) -> Triggered:
    execution = await services.store.get_execution(project, execution_id)
    if execution is None:
        raise FirstNotKept(f"The first request's execution {execution_id} is not kept.", execution_id=execution_id)
    return Triggered(execution, services.supervisor.active(execution_id), repeated=True)
