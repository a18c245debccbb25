"""Events and log lines of an execution as streams of server-sent events (HTML Standard, 9.2)."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
from starlette.responses import StreamingResponse

from budflow.errors import BudflowError
from budflow.services.log_lines import LogLineView
from budflow.services.problem_document import ProblemDocument
from budflow.services.watch_execution import EventView

KEEP_ALIVE_SECONDS = 15.0
#: Neither caches nor proxies may hold events back.
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class EventStream(StreamingResponse):
    """The response: each event as it comes, and a comment now and then while none does.

    `id` is the event's `seq`, to be sent as `Last-Event-ID` for resuming.
    """

    media_type = "text/event-stream"

    def __init__(self, events: AsyncIterator[EventView]) -> None:
        super().__init__(frames(events, KEEP_ALIVE_SECONDS), headers=_HEADERS)


class LogStream(StreamingResponse):
    """The same for the lines of a log: `id` is the line's, the event is called `log`."""

    media_type = "text/event-stream"

    def __init__(self, lines: AsyncIterator[LogLineView]) -> None:
        super().__init__(frames(lines, KEEP_ALIVE_SECONDS, _line_frame), headers=_HEADERS)


def _frame(event: EventView) -> bytes:
    data = orjson.dumps({"seq": event.seq, "type": event.type, "at": event.at, "data": event.data})
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (event.seq, event.type.encode(), data)


def _line_frame(line: LogLineView) -> bytes:
    return b"id: %b\nevent: log\ndata: %b\n\n" % (line.id.encode(), line.model_dump_json().encode())


async def frames(
    stream: AsyncIterator[Any], keep_alive_seconds: float, frame: Callable[[Any], bytes] = _frame
) -> AsyncIterator[bytes]:
    """What comes, each framed, and comments in between. An error ends the stream as the event `error`."""
    pending = asyncio.ensure_future(_next(stream))
    try:
        while True:
            await asyncio.wait([pending], timeout=keep_alive_seconds)
            if not pending.done():
                yield b": keep-alive\n\n"
                continue
            try:
                one = pending.result()
            except BudflowError as error:
                yield b"event: error\ndata: %b\n\n" % ProblemDocument.of(error).json_bytes()
                return
            if one is None:
                return
            yield frame(one)
            pending = asyncio.ensure_future(_next(stream))
    finally:
        pending.cancel()


async def _next(stream: AsyncIterator[Any]) -> Any:
    return await anext(stream, None)
