"""One task on one worker, as the broker keeps it: what the worker may say of it now, and how much of it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from budflow.model.failure import NodeError
from budflow.model.sandbox import CodeResultMalformed
from budflow.sandbox.incoming import ResultPart
from budflow.sandbox.messages import Data, Log, Progress
from budflow.sandbox.work import (
    LOG_BYTES_MAX,
    LOG_LINES_MAX,
    RESULT_BYTES_MAX,
    RESULT_ITEMS_MAX,
    TOLD_A_SECOND,
    TOLD_MAX,
    Asker,
    Work,
)

#: A worker that asks for more at a time does not read what it asked for.
DATA_REQUESTS_MAX = 4


class Misbehaved(Exception):
    """The worker said what it may not say now."""


def _unwatched() -> "asyncio.Future[None]":
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    # Nobody may be waiting any more when it fails.
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    return future


@dataclass(slots=True)
class TaskRun:
    """A task from its offer to its end. `sent`: the worker has it; `ended`: it has said its last word about it."""

    work: Work
    asker: Asker
    answer: Callable[[Data], Awaitable[None]]
    accepted: "asyncio.Future[bool]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    outcome: "asyncio.Future[None]" = field(default_factory=_unwatched)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    sent: bool = False
    _begun: bool = False
    _fetching: "set[asyncio.Task[None]]" = field(default_factory=set)
    _items: int = 0
    _bytes: int = 0
    _since: float = field(default_factory=time.monotonic)
    _told: int = 0
    _log_bytes: int = 0
    _log_cut: bool = False

    @property
    def wanted(self) -> bool:
        """Whether anybody still wants to hear of it."""
        return not self.outcome.done()

    def fail(self, error: NodeError) -> None:
        """It ends with this error, if it has not ended yet."""
        if not self.accepted.done():
            self.accepted.set_result(False)
        if not self.outcome.done():
            self.outcome.set_exception(error)

    def end(self) -> None:
        """Nobody asks for items any more."""
        for task in self._fetching:
            task.cancel()

    def accept(self) -> None:
        """The worker takes it."""
        if self._begun:
            raise Misbehaved("`accept` of a task that it has")
        self._begun = True
        if not self.accepted.done():
            self.accepted.set_result(True)

    def decline(self) -> None:
        """The worker does not take it."""
        if self.sent:
            raise Misbehaved("`decline` of a task that it has")
        self.ended.set()
        if not self.accepted.done():
            self.accepted.set_result(False)

    def check_begun(self, what: str) -> None:
        """Raises Misbehaved where the worker has not taken it."""
        if not self._begun:
            raise Misbehaved(f"{what} before it took the task")

    def ask_for(self, start: int, stop: int) -> None:
        """The worker wants items; they are sent when they are there."""
        self.check_begun("`data_request`")
        if not start < stop <= self.work.item_count:
            raise Misbehaved("items asked for that the task does not have")
        if len(self._fetching) >= DATA_REQUESTS_MAX:
            raise Misbehaved("items asked for without reading them")
        if self.wanted:
            task = asyncio.create_task(self._fetch(start, stop))
            self._fetching.add(task)
            task.add_done_callback(self._fetching.discard)

    async def log(self, line: Log, size: int) -> None:
        """Pass a line on, unless they are too many."""
        self.check_begun("`log`")
        self._check_item(line.item)
        self._count_told()
        if not self.wanted:
            return
        self._log_bytes += size
        if self._told <= LOG_LINES_MAX and self._log_bytes <= LOG_BYTES_MAX:
            await self.asker.log(line)
        elif not self._log_cut:
            self._log_cut = True
            message = "The code logs too much: further lines are dropped."
            await self.asker.log(Log(task_id=line.task_id, level="warning", message=message))

    async def progress(self, progress: Progress) -> None:
        """Pass on how far it is."""
        self.check_begun("`progress`")
        self._count_told()
        if self.wanted:
            await self.asker.progress(progress)

    async def take(self, part: ResultPart) -> None:
        """Pass on a part of the result; the last one ends the task."""
        self.check_begun("`result`")
        if not part.items and not part.failed:
            self._count_told()
        count = self.work.item_count
        if any(item.get("source", -1) >= count for item in part.items):
            raise Misbehaved("an item made from none of the task's")
        for trouble in part.failed:
            if trouble["item"] is None:
                raise Misbehaved("a failed item without its index")
            self._check_item(trouble["item"])
        self._items += len(part.items) + len(part.failed)
        self._bytes += part.bytes
        if part.last:
            self.ended.set()
        if not self.wanted:
            return
        if self._bytes > RESULT_BYTES_MAX or self._items > RESULT_ITEMS_MAX:
            size = f"{RESULT_ITEMS_MAX:,} items or {RESULT_BYTES_MAX // 2**20} MiB"
            self.fail(CodeResultMalformed(f"The code gives back more than {size}.", hint="Split its input."))
            return
        await self.asker.part(part.items, part.failed)
        if part.last and self.wanted:
            self.outcome.set_result(None)

    async def _fetch(self, start: int, stop: int) -> None:
        try:
            items = await self.asker.items(start, stop)
            await self.answer(Data.model_construct(task_id=self.work.id, start=start, items=list(items)))
        except NodeError as error:
            self.fail(error)

    def _check_item(self, index: int | None) -> None:
        if index is not None and index >= self.work.item_count:
            raise Misbehaved("an item that the task does not have")

    def _count_told(self) -> None:
        self._told += 1
        if self._told > TOLD_MAX and self._told > TOLD_MAX + TOLD_A_SECOND * (time.monotonic() - self._since):
            raise Misbehaved("too many messages")
