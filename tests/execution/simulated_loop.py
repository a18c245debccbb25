"""An event loop whose clock jumps to the next timer as soon as nothing else is to do: hours pass in milliseconds.

What runs in the context of a frozen process waits until it is thawed: neither its tasks nor its timers go on.
"""

import asyncio
import heapq
import itertools
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import Context, ContextVar, copy_context
from datetime import UTC, datetime, timedelta, tzinfo
from types import CoroutineType, SimpleNamespace
from typing import Any, Self

import pytest

from budflow.execution import light_rounds
from budflow.model import identity

#: No simulation lives that long, unless something waits for ever beside a timer that goes on.
SECONDS_MAX = 3_000
THREAD_SECONDS = 0.001
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)

#: The simulated process that a callback belongs to; tasks and timers inherit it. "" is the test itself.
PROCESS: ContextVar[str] = ContextVar("process", default="")


class Hung(AssertionError):
    """The test still waits, and nothing will come."""


class SimulatedLoop(asyncio.SelectorEventLoop):
    """Time stands still while callbacks run."""

    def __init__(self) -> None:
        super().__init__()
        self._seconds = 0.0
        self._parked: dict[str, list[asyncio.Handle]] = {}
        self._tasks: dict[str, list[asyncio.Task[Any]]] = {}
        self.set_task_factory(self._new_task)

    def time(self) -> float:
        return self._seconds

    def freeze(self, process: str) -> None:
        """Nothing of this process goes on from now on."""
        self._parked[process] = []
        ready = self._ready  # type: ignore[has-type] # asyncio's own queue
        for position, handle in enumerate(ready):
            if self._park(handle):
                # The loop counts what it is about to run: something must be left in its place.
                ready[position] = _cancelled(self)
        self._scheduled = [h for h in self._scheduled if not self._park(h)]  # type: ignore[has-type] # the heap
        heapq.heapify(self._scheduled)

    def thaw(self, process: str) -> None:
        """It goes on where it stood, and what was due meanwhile is due now."""
        for handle in self._parked.pop(process):
            if isinstance(handle, asyncio.TimerHandle):
                heapq.heappush(self._scheduled, handle)
                handle._scheduled = True  # type: ignore[attr-defined] # as call_at does
            else:
                self._ready.append(handle)

    def tasks_of(self, process: str) -> list[asyncio.Task[Any]]:
        """Every task of a process that has not ended."""
        return [task for task in self._tasks.get(process, []) if not task.done()]

    def timers(self) -> list[asyncio.TimerHandle]:
        """Every timer that would still go off, but for those of frozen processes."""
        return [timer for timer in self._scheduled if not timer.cancelled()]

    def call_soon(self, callback: Callable[..., Any], *args: Any, context: Context | None = None) -> asyncio.Handle:
        if self.is_closed():  # What a failed simulation left behind is being thrown away.
            return _cancelled(self)
        handle = super().call_soon(callback, *args, context=context or copy_context())
        if self._parked and self._park(handle):
            self._ready.pop()
        return handle

    def run_in_executor(  # type: ignore[override] # always a future of this loop
        self, executor: object, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """What is done in a thread takes a moment, and is done even where nobody waits for it any more."""
        future: asyncio.Future[Any] = self.create_future()

        def work() -> None:
            try:
                result = func(*args)
            except BaseException as error:  # noqa: BLE001 - a thread of a pool hands in whatever it was
                if not future.done():
                    future.set_exception(error)
            else:
                if not future.done():
                    future.set_result(result)

        self.call_later(THREAD_SECONDS, work)
        return future

    def _park(self, handle: asyncio.Handle) -> bool:
        if not self._is_parked(handle):
            return False
        self._parked[_process_of(handle)].append(handle)
        if isinstance(handle, asyncio.TimerHandle):
            handle._scheduled = False  # type: ignore[attr-defined] # it stands in the heap no more
        return True

    def _is_parked(self, handle: asyncio.Handle) -> bool:
        return _process_of(handle) in self._parked

    def _new_task(
        self, _loop: asyncio.AbstractEventLoop, coro: Any, context: Context | None = None
    ) -> asyncio.Task[Any]:
        task = asyncio.Task(coro, loop=self, context=context)
        process = (context or copy_context()).get(PROCESS, "")
        self._tasks.setdefault(process, []).append(task)
        return task

    def _run_once(self) -> None:
        if not self._ready and not self._stopping:  # type: ignore[attr-defined] # asyncio's own
            while self._scheduled and self._scheduled[0].cancelled():  # Else the time would pass in earnest.
                heapq.heappop(self._scheduled)._scheduled = False  # type: ignore[attr-defined] # as asyncio does
                self._timer_cancelled_count -= 1
            if not self._scheduled or self._seconds > SECONDS_MAX:
                raise Hung
            self._seconds = max(self._seconds, self._scheduled[0]._when)
        super()._run_once()  # type: ignore[misc] # the method that every round of the loop is


def simulate(main: Coroutine[Any, Any, None]) -> None:
    """Run to the end with clock and ids of the simulation, and see that nothing is left behind: no task, no timer."""
    loop = SimulatedLoop()
    try:
        with pytest.MonkeyPatch.context() as patch:
            numbers = itertools.count()
            patch.setattr(identity, "datetime", _clock(loop))
            patch.setattr(
                identity, "uuid_utils", SimpleNamespace(uuid7=lambda: SimpleNamespace(hex=f"{next(numbers):032x}"))
            )
            patch.setattr(light_rounds, "SECONDS_MAX", 3_600.0)  # Real time is to have no say in what happens.
            loop.run_until_complete(main)
        left = [task for task in asyncio.all_tasks(loop) if not task.done()]
        assert not left, f"tasks left behind: {left}"
        assert not loop.timers(), f"timers left behind: {loop.timers()}"
    finally:
        _end_all(loop)
        loop.close()


def _end_all(loop: SimulatedLoop) -> None:
    """End what a failed simulation left behind, and what that begins: else the collector would do it at any time, in
    the middle of another one, and what is begun then never gets its turn, of which Python warns.
    """
    ended: set[asyncio.Task[Any]] = set()
    while left := asyncio.all_tasks(loop) - ended:
        for task in left:
            task._log_destroy_pending = False  # type: ignore[attr-defined] # a failure is told once
            coroutine = task.get_coro()
            if isinstance(coroutine, CoroutineType):
                with suppress(RuntimeError):  # It would wait for something, or needs a loop that runs.
                    coroutine.close()
        ended |= left


def _clock(loop: SimulatedLoop) -> type[datetime]:
    class SimulatedDatetime(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return BEGIN + timedelta(seconds=loop.time())  # type: ignore[return-value] # an ordinary datetime

    return SimulatedDatetime


def _cancelled(loop: asyncio.AbstractEventLoop) -> asyncio.Handle:
    handle = asyncio.Handle(lambda: None, (), loop, copy_context())
    handle.cancel()
    return handle


def _process_of(handle: asyncio.Handle) -> str:
    return handle._context.get(PROCESS, "")  # type: ignore[attr-defined] # what the handle will run in
