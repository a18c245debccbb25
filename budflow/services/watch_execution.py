"""watch_execution: an execution's events as they become durable, from any point on."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import Field

from budflow.model.event import Finished
from budflow.model.execution import TERMINAL, ExecutionNotFound
from budflow.model.journal_row import check_order, missing, payload_of
from budflow.model.principal import Principal
from budflow.services.use_case import NUMBER_MAX, RequestModel, Services, use_case

PAGE_EVENTS = 500


class WatchExecution(RequestModel):
    """Which execution, from where."""

    execution_id: str
    after: int = Field(-1, ge=-1, le=NUMBER_MAX, description="Only events with a greater `seq`.")


@dataclass(frozen=True, slots=True)
class EventView:
    """One event of the journal; `data` is its payload as stored."""

    seq: int
    type: str
    at: datetime
    data: Any


@use_case("execution:read")
async def watch_execution(
    services: Services, principal: Principal, request: WatchExecution
) -> AsyncIterator[EventView]:
    """Follow an execution: what is in its journal, then what is added, until it has ended.

    The iterator raises EventUnreadable where a row is missing or malformed.
    """
    if await services.store.get_execution(principal.project_id, request.execution_id) is None:
        raise ExecutionNotFound(f"There is no execution {request.execution_id}.")
    return _events(services, principal.project_id, request)


async def _events(services: Services, project_id: str, request: WatchExecution) -> AsyncIterator[EventView]:
    after = request.after
    with services.supervisor.watched.watch(request.execution_id) as watch:
        while True:
            row = await services.store.get_execution(project_id, request.execution_id)
            events = await services.store.read_events(project_id, request.execution_id, after=after, limit=PAGE_EVENTS)
            for event in events:
                check_order([event], after + 1)
                after = event.seq
                yield EventView(event.seq, event.type, event.at, payload_of(event))
                if event.type == Finished.TYPE:
                    return
            if events:
                continue
            if row is None:
                return
            if after < 0:
                raise missing(0)  # It is stored together with the row.
            if row.status in TERMINAL:
                return
            await watch.news()
