"""Reading an execution's journal whole, and the plan that it ran by."""

from budflow.execution.ports import ExecutionStore
from budflow.graph.plan import Plan
from budflow.model.event import Admitted, Event
from budflow.model.execution import Execution
from budflow.model.journal import decode
from budflow.services.use_case import Services

PAGE_EVENTS = 5_000


async def read_journal(store: ExecutionStore, execution: Execution) -> list[Event]:
    """Every event so far. Raises EventUnreadable."""
    events: list[Event] = []
    while True:
        rows = await store.read_events(execution.project_id, execution.id, after=len(events) - 1, limit=PAGE_EVENTS)
        events.extend(decode(row) for row in rows)
        if len(rows) < PAGE_EVENTS:
            return events


async def plan_of_execution(services: Services, execution: Execution) -> Plan:
    """The plan that an execution runs by, for showing what it did: of a partial run only the part. See get_to_show."""
    project, workflow_id = execution.project_id, execution.workflow_id
    rows = await services.store.read_events(project, execution.id, limit=1)
    first = decode(rows[0]) if rows else None
    until = first.until if isinstance(first, Admitted) else None
    _, plan = await services.plans.get_to_show(project, workflow_id, execution.version, until)
    return plan
