"""trigger_workflow: a trigger fired; admit an execution. What webhooks and starts by hand have in common."""

from dataclasses import dataclass

from budflow.execution.active import Active
from budflow.model.event import Admitted
from budflow.model.execution import Execution, Mode
from budflow.model.identity import new_id, utc_now
from budflow.model.item import ItemList
from budflow.model.principal import Principal
from budflow.services.use_case import Services, use_case


@dataclass(frozen=True, slots=True)
class TriggerEvent:
    """What made a trigger fire. `version` None means the published one; `trigger` None the `trigger.manual`.

    With `durable` the execution is stored when the use case returns; see Supervisor.submit.
    """

    workflow_id: str
    items: ItemList
    mode: Mode
    version: int | None = None
    trigger: str | None = None
    durable: bool = True


@dataclass(frozen=True, slots=True)
class Triggered:
    """The execution that was admitted. `active` is None where it waits in the queue."""

    execution: Execution
    active: Active | None


@use_case("execution:run")
async def trigger_workflow(services: Services, principal: Principal, event: TriggerEvent) -> Triggered:
    """Admit one execution of a workflow. Raises QueueFull with nothing stored."""
    project = principal.project_id
    if event.version is None:
        version, plan = await services.plans.get_to_run(project, event.workflow_id)
    else:
        version, plan = await services.plans.get(project, event.workflow_id, event.version)
    trigger = plan.trigger(event.trigger)
    now = utc_now()
    execution = Execution(
        id=new_id("exe"),
        project_id=project,
        workflow_id=event.workflow_id,
        version=version.version,
        mode=event.mode,
        status="queued",
        created_at=now,
        priority=plan.settings.priority,
    )
    admitted = Admitted(now, trigger.key, event.mode, principal.id, event.items)
    active = await services.supervisor.submit(execution, admitted, version, plan, durable=event.durable)
    return Triggered(active.execution if active is not None else execution, active)
