"""An event loop whose clock jumps to the next timer as soon as nothing else is to do: hours pass in milliseconds."""

import asyncio
from collections.abc import Coroutine
from typing import Any

#: No simulation lives that long, unless something waits for ever beside a timer that goes on.
SECONDS_MAX = 2_000


class Hung(AssertionError):
    """The test still waits, and nothing will come."""


class SimulatedLoop(asyncio.SelectorEventLoop):
    """Time stands still while callbacks run."""

    def __init__(self) -> None:
        super().__init__()
        self._seconds = 0.0

    def time(self) -> float:
        return self._seconds

    def _run_once(self) -> None:
        if not self._ready and not self._stopping:  # type: ignore[attr-defined] # asyncio's own queue
            if not self._scheduled:  # type: ignore[attr-defined] # asyncio's own heap
                raise Hung
            if self._seconds > SECONDS_MAX:
                raise Hung
            self._seconds = max(self._seconds, self._scheduled[0]._when)  # type: ignore[attr-defined] # the same
        super()._run_once()  # type: ignore[misc] # the method that every round of the loop is


def simulate(main: Coroutine[Any, Any, None]) -> None:
    """Run to the end, and see that nothing is left behind: no task, no timer."""
    loop = SimulatedLoop()
    try:
        loop.run_until_complete(main)
        left = [task for task in asyncio.all_tasks(loop) if not task.done()]
        assert not left, f"tasks left behind: {left}"
        timers = [timer for timer in loop._scheduled if not timer.cancelled()]  # type: ignore[attr-defined] # the heap
        assert not timers, f"timers left behind: {timers}"
    finally:
        loop.close()
