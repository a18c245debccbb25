"""Reading an execution's journal whole, and the plan that it ran by."""

from budflow.execution.ports import ExecutionStore
from budflow.execution.stepwise import plan_of_run
from budflow.graph.plan import Plan
from budflow.model.event import Admitted, Event, Finished
from budflow.model.execution import TERMINAL, Execution
from budflow.model.journal import decode
from budflow.model.journal_row import check_order, missing
from budflow.services.use_case import Services

PAGE_EVENTS = 5_000


async def read_journal(store: ExecutionStore, execution: Execution, *, most: int | None = None) -> list[Event]:
    """Every event so far. Raises EventUnreadable, also where one is missing, as far as the row tells.

    With `most`, no more than about so many are read.
    """
    events: list[Event] = []
    while True:
        rows = await store.read_events(execution.project_id, execution.id, after=len(events) - 1, limit=PAGE_EVENTS)
        check_order(rows, len(events))
        events.extend(decode(row) for row in rows)
        if len(rows) < PAGE_EVENTS:
            break
        if most is not None and len(events) >= most:
            return events
    if not events or (execution.status in TERMINAL and not isinstance(events[-1], Finished)):
        raise missing(len(events))
    return events


async def plan_of_execution(services: Services, execution: Execution) -> Plan:
    """The plan that an execution runs by, for showing what it did: of a partial run only the part. See get_to_show."""
    project, workflow_id = execution.project_id, execution.workflow_id
    rows = await services.store.read_events(project, execution.id, limit=1)
    first = decode(rows[0]) if rows else None
    admitted = first if isinstance(first, Admitted) else None
    until = None if admitted is None else admitted.until
    _, plan = await services.plans.get_to_show(project, workflow_id, execution.version, until)
    return plan_of_run(plan, admitted)
