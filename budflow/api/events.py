"""Events of an execution as a stream of server-sent events (HTML Standard, 9.2)."""

import asyncio
from collections.abc import AsyncIterator

import orjson
from starlette.responses import StreamingResponse

from budflow.errors import BudflowError
from budflow.services.problem_document import ProblemDocument
from budflow.services.watch_execution import EventView

KEEP_ALIVE_SECONDS = 15.0
#: Neither caches nor proxies may hold events back.
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class EventStream(StreamingResponse):
    """The response: each event as it comes, and a comment now and then while none does."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncIterator[EventView]) -> None:
        super().__init__(frames(events, KEEP_ALIVE_SECONDS), headers=_HEADERS)


async def frames(events: AsyncIterator[EventView], keep_alive_seconds: float) -> AsyncIterator[bytes]:
    """`id` is the event's `seq`, to be sent as `Last-Event-ID` for resuming. An error ends the stream as `error`."""
    pending = asyncio.ensure_future(_next(events))
    try:
        while True:
            await asyncio.wait([pending], timeout=keep_alive_seconds)
            if not pending.done():
                yield b": keep-alive\n\n"
                continue
            try:
                event = pending.result()
            except BudflowError as error:
                yield b"event: error\ndata: %b\n\n" % ProblemDocument.of(error).json_bytes()
                return
            if event is None:
                return
            yield _frame(event)
            pending = asyncio.ensure_future(_next(events))
    finally:
        pending.cancel()


async def _next(events: AsyncIterator[EventView]) -> EventView | None:
    return await anext(events, None)


def _frame(event: EventView) -> bytes:
    data = orjson.dumps({"seq": event.seq, "type": event.type, "at": event.at, "data": event.data})
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (event.seq, event.type.encode(), data)
