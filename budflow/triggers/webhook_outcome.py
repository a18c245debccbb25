"""What came of an execution, for a request that waits for it: from memory where it runs here, else from its journal."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from budflow.execution.active import Active
from budflow.execution.ports import RunLetGo
from budflow.execution.projection import Wanted, read_story
from budflow.model.event import EndStatus, Finished, Responded
from budflow.model.execution import ClaimLost
from budflow.model.failure import Failure
from budflow.model.item import EMPTY, ItemList
from budflow.model.principal import Principal
from budflow.services.trigger_workflow import Triggered
from budflow.services.use_case import Services
from budflow.services.watch_execution import EventView, WatchExecution, watch_execution


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
        items = services.lists.open(triggered.execution.project_id, active.result())
        return Outcome(active.responded, "succeeded", None, items)
    return await _from_journal(services, principal, triggered, first_answer)


async def _settled(active: Active, first_answer: bool) -> bool:
    """Whether this process saw it through; False when it was given back or taken over. Raises what broke the run."""
    future = active.answered if first_answer else active.ended
    active.watchers += 1  # So that it is not given back while it waits for something.
    try:
        await asyncio.wait([future])
    finally:
        active.watchers -= 1
    broken = future.exception()
    if broken is not None and not isinstance(broken, ClaimLost | RunLetGo):
        raise broken
    return broken is None


async def _from_journal(services: Services, principal: Principal, triggered: Triggered, first_answer: bool) -> Outcome:
    execution = triggered.execution
    # The webhook's principal may only start executions; reading the one it started is not a request of its own.
    events = await watch_execution.run(services, principal, WatchExecution(execution_id=execution.id))
    await _pass(events, {Finished.TYPE, Responded.TYPE} if first_answer else {Finished.TYPE})
    _, plan = await services.plans.get_to_show(execution.project_id, execution.workflow_id, execution.version)
    story = await read_story(services.store, execution, plan, Wanted(outputs=False))
    finished = story.finished
    if finished is None:
        return Outcome(story.responded)
    items = services.lists.open(execution.project_id, story.result)
    return Outcome(story.responded, finished.status, finished.failure, items)


async def _pass(events: AsyncIterator[EventView], types: set[str]) -> None:
    async for event in events:
        if event.type in types:
            return
