"""Whether an execution only waits, for what, and until when: then it needs no process."""

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime

from budflow.execution import state as s
from budflow.execution.doubt import Doubt
from budflow.execution.open_node import OpenNode
from budflow.execution.ports import Link
from budflow.execution.records import Rest
from budflow.model.execution import WaitReason

#: How long nothing computes before anybody looks.
LOOK_SECONDS = 0.05
#: Where several nodes wait, the execution is said to wait for the first of these.
_FIRST: tuple[WaitReason, ...] = ("paused", "ask", "approval", "form", "webhook", "timer", "limit", "child")


def rest_of(state: s.State, opened: Iterable[OpenNode], deadline: datetime | None, doubt: Doubt) -> Rest | None:
    """What an execution waits for that computes nothing; None where something is about to happen by itself."""
    reasons: set[WaitReason] = {"paused"} if state.paused else set()
    wakes = [] if deadline is None else [deadline]
    for node in opened:
        if node.control is None:
            if not doubt.asks(node.at):
                return None
            reasons.add("ask")
            continue
        if node.control.deadline is not None:  # Its own, or of what it does last when it is stopped.
            wakes.append(node.control.deadline)
        control = state.controls.get(node.at)
        for (kind, number), ask in () if control is None else control.asks.items():
            if kind == "call":
                reasons.add("child")
            elif isinstance(ask, s.StartWait):
                reasons.add(ask.reason)
                wait = node.control.waits.get(number)
                if wait is not None and wait.until is not None:
                    wakes.append(wait.until)
            else:
                return None
    reason = next((reason for reason in _FIRST if reason in reasons), None)
    return None if reason is None else Rest(reason, min(wakes, default=None), state.stops(s.ROOT))


class RestWatch:
    """Tells the link when a run begins to rest, and when it goes on; looks only now and then."""

    def __init__(self, link: Link, look: Callable[[], Rest | None]) -> None:
        self._link, self._look = link, look
        self._told: Rest | None = None
        self._timer: asyncio.TimerHandle | None = None

    def look_soon(self) -> None:
        """Look in a moment whether anything computes still; not for each of a thousand waits that begin."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look_now)

    def works(self) -> None:
        """Something computes again."""
        self._tell(None)

    def cancel(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look_now(self) -> None:
        self._timer = None
        self._tell(self._look())

    def _tell(self, rest: Rest | None) -> None:
        if rest != self._told:
            self._told = rest
            self._link.idle(rest)
