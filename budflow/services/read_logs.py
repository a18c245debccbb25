"""read_logs: what an execution and its nodes logged, a page at a time or as it comes."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import datetime

from pydantic import AwareDatetime, Field

from budflow.errors import BudflowError
from budflow.model.event import StoredEvent
from budflow.model.execution import Execution, ExecutionNotFound
from budflow.model.journal_row import check_order, payload_of
from budflow.model.log import Level
from budflow.model.path import Rounds, parse_path
from budflow.model.principal import Principal
from budflow.services.get_execution import UNTELLABLE, find_node
from budflow.services.log_lines import LEVELS, LogLineView, lines_of
from budflow.services.read_journal import plan_of_execution
from budflow.services.use_case import NUMBER_MAX, RequestModel, Services, View, use_case
from budflow.services.watch_execution import EventView, WatchExecution, watch_execution

PAGE_EVENTS = 500
#: So many events are gone through for one page: where few lines are wanted of many, it may have less than its limit.
EVENTS_MAX = 5_000


class LogCursorInvalid(BudflowError):
    """The cursor is no place in a log."""

    code = "execution.log_cursor_invalid"
    http_status = 422
    hint = "Take `next_cursor` of the page before, or the `id` of a line; leave it out to begin at the beginning."


class ReadLogs(RequestModel):
    """Which lines of which execution."""

    execution_id: str
    level: Level = Field("info", description="The least important lines that are shown; `debug` shows all.")
    node: str | None = Field(
        None, description="Only lines of this node; in a loop a path such as `price[3]` for one round, the first is 0."
    )
    after: AwareDatetime | None = Field(None, description="Only lines of this time or later.")
    cursor: str | None = Field(
        None, max_length=30, description="Only what comes behind: `next_cursor` of the page before, or a line's `id`."
    )
    limit: int = Field(200, ge=1, le=1000, description="How many lines at most.")
    follow: bool = Field(
        False,
        description="Answer with server-sent events instead: what there is, then each line as it comes, until the "
        "execution has ended. `limit` has no meaning then.",
    )


class LogView(View):
    """Part of a log, in the order in which it was written."""

    lines: list[LogLineView]
    next_cursor: str | None = Field(
        description="Continues the log; null where there is no more now. A page may be empty and have one."
    )


@use_case("execution:read")
async def read_logs(
    services: Services, principal: Principal, request: ReadLogs
) -> LogView | AsyncIterator[LogLineView]:
    """Read what an execution logged: what its nodes wrote, and what the engine did with them.

    With `follow` the lines come as an iterator, which raises EventUnreadable where a row is missing or malformed.
    """
    execution = await services.store.get_execution(principal.project_id, request.execution_id)
    if execution is None:
        raise ExecutionNotFound(f"There is no execution {request.execution_id}.")
    wanted = await _wanted(services, execution, request)
    if not request.follow:
        return await _page(services, execution, wanted, request.limit)
    # The event in which the cursor stands is read again, for what is behind it there.
    watched = WatchExecution(execution_id=execution.id, after=max(-1, wanted.behind[0] - 1))
    return _follow(await watch_execution(services, principal, watched), wanted)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Which lines are wanted: `behind` is the seq of an event and the index of a line in it."""

    level: Level
    behind: tuple[int, int]
    after: datetime | None
    node: tuple[str, Rounds] | None

    def of(self, event: EventView) -> Iterator[LogLineView]:
        """Those of an event."""
        for index, line in enumerate(lines_of(event)):
            if (event.seq, index) > self.behind and self._covers(line):
                yield line

    def _covers(self, line: LogLineView) -> bool:
        if LEVELS.index(line.level) < LEVELS.index(self.level) or (self.after is not None and line.at < self.after):
            return False
        if self.node is None:
            return True
        if line.node is None:
            return False
        key, rounds = parse_path(line.node)
        return (key, rounds[: len(self.node[1])]) == self.node


async def _wanted(services: Services, execution: Execution, request: ReadLogs) -> _Wanted:
    """What is wanted. Raises LogCursorInvalid and NodeNotInExecution."""
    node: tuple[str, Rounds] | None = None
    if request.node is not None:
        try:
            node = find_node(await plan_of_execution(services, execution), request.node)
        except UNTELLABLE:  # Its workflow cannot be read any more, though its log can.
            node = (request.node, ())
    return _Wanted(request.level, _place(request.cursor), request.after, node)


def _place(cursor: str | None) -> tuple[int, int]:
    if cursor is None:
        return (-1, -1)
    seq, _, index = cursor.partition(".")
    if not (seq.isdecimal() and index.isdecimal() and cursor.isascii()) or max(int(seq), int(index)) > NUMBER_MAX:
        raise LogCursorInvalid(f"`{cursor}` is no place in a log.")
    return int(seq), int(index)


async def _page(services: Services, execution: Execution, wanted: _Wanted, limit: int) -> LogView:
    lines: list[LogLineView] = []
    seen = max(-1, wanted.behind[0] - 1)
    for _ in range(EVENTS_MAX // PAGE_EVENTS):
        rows = await services.store.read_events(execution.project_id, execution.id, after=seen, limit=PAGE_EVENTS)
        check_order(rows, seen + 1)
        for row in rows:
            for line in wanted.of(_event(row)):
                if len(lines) == limit:
                    return LogView(lines=lines, next_cursor=lines[-1].id)
                lines.append(line)
        if len(rows) < PAGE_EVENTS:
            return LogView(lines=lines, next_cursor=None)
        seen = rows[-1].seq
        await asyncio.sleep(0)
    return LogView(lines=lines, next_cursor=f"{seen}.{NUMBER_MAX}")


async def _follow(events: AsyncIterator[EventView], wanted: _Wanted) -> AsyncIterator[LogLineView]:
    async for event in events:
        for line in wanted.of(event):
            yield line


def _event(row: StoredEvent) -> EventView:
    return EventView(row.seq, row.type, row.at, payload_of(row))
