"""What came of an execution, for a request that waits for it: from memory where it runs here, else from its journal."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from budflow.execution.active import Active
from budflow.execution.projection import tell
from budflow.model.event import EndStatus, Finished, Responded
from budflow.model.execution import ClaimLost
from budflow.model.failure import Failure
from budflow.model.item import EMPTY, ItemList
from budflow.model.journal import decode
from budflow.model.principal import Principal
from budflow.services.trigger_workflow import Triggered
from budflow.services.use_case import Services
from budflow.services.watch_execution import EventView, WatchExecution, watch_execution

EVENTS_MAX = 100_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer that the workflow gave, if any, and the end, if it was waited for. `items` are its result."""

    responded: Responded | None
    status: EndStatus | None = None
    failure: Failure | None = None
    items: ItemList = EMPTY


async def outcome_of(services: Services, principal: Principal, triggered: Triggered, *, first_answer: bool) -> Outcome:
    """Wait for the end, or with `first_answer` for the first answer where that is earlier; it is durable then.

    Never gives up: the caller limits the time. Cancelling this leaves the execution alone.
    """
    active = triggered.active
    if active is not None and await _settled(active, first_answer):
        finished = active.finished
        if finished is None or finished.status != "succeeded":
            return Outcome(active.responded, *((finished.status, finished.failure) if finished else ()))
        return Outcome(active.responded, "succeeded", None, active.result())
    return await _from_journal(services, principal, triggered, first_answer)


async def _settled(active: Active, first_answer: bool) -> bool:
    """Whether this process saw it through; False when another runner has taken it over. Raises what broke the run."""
    future = active.answered if first_answer else active.ended
    await asyncio.wait([future])
    broken = future.exception()
    if broken is not None and not isinstance(broken, ClaimLost):
        raise broken
    return broken is None


async def _from_journal(services: Services, principal: Principal, triggered: Triggered, first_answer: bool) -> Outcome:
    execution = triggered.execution
    # The webhook's principal may only start executions; reading the one it started is not a request of its own.
    events = await watch_execution.run(services, principal, WatchExecution(execution_id=execution.id))
    await _pass(events, {Finished.TYPE, Responded.TYPE} if first_answer else {Finished.TYPE})
    rows = await services.store.read_events(execution.project_id, execution.id, limit=EVENTS_MAX)
    _, plan = await services.plans.get(execution.project_id, execution.workflow_id, execution.version)
    journal = [decode(row) for row in rows]
    story = tell(plan, journal)
    finished = journal[-1] if journal and isinstance(journal[-1], Finished) else None
    if finished is None:
        return Outcome(story.responded)
    return Outcome(story.responded, finished.status, finished.failure, story.result)


async def _pass(events: AsyncIterator[EventView], types: set[str]) -> None:
    async for event in events:
        if event.type in types:
            return
