"""The time limit of a whole execution: it counts from its admission, whoever advances it by then."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from budflow.execution.ports import Work
from budflow.model import event as e
from budflow.model.failure import Failure, NodeError

#: Timers are set for so long at most, and set anew: a clock may be changed meanwhile.
TIMER_SECONDS_MAX = 3_600.0


class ExecutionTimedOut(NodeError):
    """The execution did not end within the workflow's `timeout_seconds`."""

    code = "execution.timed_out"
    hint = "Raise `settings.timeout_seconds`, or find the slow node in the execution's events."


class Deadline:
    """Delivers the request to stop when the time is up. `at` is None where there is no limit."""

    def __init__(self, work: Work, deliver: Callable[[e.Event], None], now: Callable[[], datetime]) -> None:
        limit, admitted = work.plan.settings.timeout_seconds, work.admitted
        self.at = None if limit is None or admitted is None else admitted.at + timedelta(seconds=limit)
        self._deliver, self._now = deliver, now
        self._timer: asyncio.TimerHandle | None = None

    def watch(self) -> None:
        """Begin to wait for it."""
        if self.at is None:
            return
        left = max(0.0, (self.at - self._now()).total_seconds())
        then = self._expire if left <= TIMER_SECONDS_MAX else self.watch
        self._timer = asyncio.get_running_loop().call_later(min(left, TIMER_SECONDS_MAX), then)

    def cancel(self) -> None:
        """Wait no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _expire(self) -> None:
        failure = Failure.of(ExecutionTimedOut())
        self._deliver(e.CancelRequested(self._now(), "timeout_seconds", failure))
