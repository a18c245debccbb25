"""The leader: of all the servers of an installation one leads at a time, and its duties are done there alone.

A lease says who. The leader renews it every third of its time and counts from before it asked: a leader that was
paused, or whose answers got lost, knows by its own clock that its term is over, before anybody else can lead. Leading
is economy and never correctness: see budflow.services.leader_only.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Protocol, TypeVar

from budflow.errors import BudflowError
from budflow.execution.wakes import Wakes
from budflow.log import get_log
from budflow.services.leader_ports import LeaderRow, Leading, NotLeader

#: The part of a lease that its holder uses; the rest is for clocks that go slower than the lease's.
USED = 0.9
#: A lease is renewed so many times before it would end.
RENEWALS = 3
#: Those who do not lead look at least so often whether nobody does. Where the lease is away they ask ever more seldom,
#: but at least once in the time that it would last.
LOOK_SECONDS_MAX = 1.0
AWAY_SECONDS_MAX = 10.0
#: A lease that need not be renewed, since there is nobody else: some 30 years.
FOR_LIFE_SECONDS = 1e9
#: A hand-over waits for so long for duties to end, and then for the lease.
DUTIES_END_SECONDS = 0.3
RELEASE_SECONDS = 0.5

T = TypeVar("T")
#: What is done while a term goes on; cancelled when it is over.
Work = Callable[[Leading], Coroutine[Any, Any, None]]

log = get_log(__name__)


class LeaderLease(Protocol):
    """What says who leads. It counts by one clock of its own; all of it raises BudflowError where it is away."""

    async def acquire(self, holder: str, *, seconds: float) -> int | None:
        """The fencing token, higher than any before, where nobody leads or `holder` itself does; else None."""
        ...

    async def renew(self, token: int, *, seconds: float) -> bool:
        """Lead for `seconds` from now on; False where the lease ran out or another token was given since."""
        ...

    async def release(self, holder: str) -> None:
        """Let others lead at once, where this is who leads."""
        ...

    async def current(self) -> LeaderRow | None:
        """Who leads now."""
        ...

    async def close(self) -> None:
        """Let go of what connects to it."""
        ...


def now() -> float:
    """Seconds, also those for which the machine slept: of a lease they are gone."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Term:
    """Meets Leading. `ends_at` is by this process's clock."""

    __slots__ = ("_clock", "ends_at", "token")

    def __init__(self, token: int, ends_at: float, clock: Callable[[], float]) -> None:
        self.token, self.ends_at, self._clock = token, ends_at, clock

    @property
    def leads(self) -> bool:
        """See Leading."""
        return self._clock() < self.ends_at

    def require(self) -> None:
        """See Leading."""
        if not self.leads:
            raise NotLeader

    def extend(self, ends_at: float) -> None:
        """Let it go on, unless it is over: then somebody was told so, and may have acted on it."""
        if self.leads:
            self.ends_at = ends_at

    def end(self) -> None:
        """It is over."""
        self.ends_at = float("-inf")


class _Unanswered(Exception):
    """The lease is away, or its answer came too late to be of use."""


class Leader:
    """Meets Leaders. One process's part in it: tries to lead, does the work while it does, and hands over at the end.

    It belongs to one event loop. `holder` is this process's name among all, its runner's id.
    """

    def __init__(
        self, lease: LeaderLease, wakes: Wakes, *, holder: str, seconds: float, clock: Callable[[], float] = now
    ) -> None:
        self._lease, self._wakes, self._holder, self._seconds, self._clock = lease, wakes, holder, seconds, clock
        self._look_seconds = min(seconds / RENEWALS, LOOK_SECONDS_MAX)
        self._tell = log.debug if seconds >= FOR_LIFE_SECONDS else log.info  # Of one that is alone it is no news.
        self._term: Term | None = None
        self._away = False
        self._news = asyncio.Event()  # Somebody handed over.
        self._task: asyncio.Task[None] | None = None
        self._stepping_down: asyncio.Task[None] | None = None

    @property
    def leads(self) -> bool:
        """See Leaders."""
        return self._term is not None and self._term.leads

    def require(self) -> None:
        """Raise NotLeader where this process does not lead."""
        if not self.leads:
            raise NotLeader

    async def current(self) -> LeaderRow | None:
        """See Leaders."""
        return await self._lease.current()

    def status(self) -> Mapping[str, Any]:
        """Figures for `budflow status`: whether this process leads, by which token, and whether the lease answers."""
        term = self._term
        leads = term is not None and term.leads
        return {
            "leads": leads,
            "token": term.token if term is not None and leads else None,
            "reachable": not self._away,
        }

    def start(self, work: Work) -> None:
        """Try to lead from now on, and do `work` in every term."""
        self._task = asyncio.create_task(self._lead_forever(work))

    def step_down(self) -> None:
        """Begin to hand over; this process does not lead again. It takes less than a second."""
        if self._stepping_down is None:
            if self._term is not None:
                self._term.end()
            self._stepping_down = asyncio.create_task(self._hand_over(self._term))

    async def stop(self) -> None:
        """Hand over, if that was not done before, and let go of the lease."""
        self.step_down()
        if self._stepping_down is not None:
            await self._stepping_down
        await self._lease.close()

    # --- one term after the other -------------------------------------------------------------------------------------

    async def _lead_forever(self, work: Work) -> None:
        quiet = self._wakes.listen("leader", lambda _subject: self._news.set())
        try:
            while True:
                try:
                    await self._lead_once(work)
                except Exception:  # The worker's loop: whatever it was, the next turn tries again.
                    log.exception("leader.failed", holder=self._holder)
                    await asyncio.sleep(self._look_seconds)
        finally:
            quiet()

    async def _lead_once(self, work: Work) -> None:
        """From seeking to lead until it is lost."""
        self._term = term = await self._seek()
        self._tell("leader.leads", holder=self._holder, token=term.token)
        doing = asyncio.create_task(work(term))
        doing.add_done_callback(_tell_fault)
        try:
            await self._keep(term)
        finally:
            term.end()
            doing.cancel()
            await asyncio.wait([doing], timeout=DUTIES_END_SECONDS)
            self._term = None
        log.warning("leader.lost", holder=self._holder, token=term.token)

    async def _seek(self) -> Term:
        """A new term, once there is one for this process."""
        pause = self._look_seconds
        while True:
            self._news.clear()
            asked_at = self._clock()
            try:
                token = await self._ask(self._lease.acquire(self._holder, seconds=self._seconds), self._end(asked_at))
            except _Unanswered:
                pause = min(2 * pause, self._seconds, AWAY_SECONDS_MAX)
            else:
                pause = self._look_seconds
                if token is not None:
                    return Term(token, self._end(asked_at), self._clock)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._news.wait()

    async def _keep(self, term: Term) -> None:
        """Renew until the term is over."""
        pause = self._seconds / RENEWALS
        while True:
            await asyncio.sleep(min(pause, max(0.0, term.ends_at - self._clock())))
            if not term.leads:
                return
            asked_at = self._clock()
            try:
                renewed = await self._ask(self._lease.renew(term.token, seconds=self._seconds), term.ends_at)
            except _Unanswered:
                pause = self._seconds / RENEWALS / 3  # Some more tries before it ends.
                continue
            if not renewed:
                return
            term.extend(self._end(asked_at))
            pause = self._seconds / RENEWALS

    async def _hand_over(self, term: Term | None) -> None:
        """Also where this process does not lead: a lease may be its own, and the answer that said so got lost."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.wait([self._task])
        with contextlib.suppress(_Unanswered):  # Then it runs out by itself.
            await self._ask(self._lease.release(self._holder), self._clock() + RELEASE_SECONDS)
            if term is not None:
                self._tell("leader.handed_over", holder=self._holder, token=term.token)
                self._wakes.tell("leader")

    def _end(self, asked_at: float) -> float:
        """When a term is over that was asked for then."""
        return asked_at + self._seconds * USED

    async def _ask(self, asking: Awaitable[T], until: float) -> T:
        """The answer, if it comes until then by this process's clock; that the lease is away is told once."""
        try:
            async with asyncio.timeout(until - self._clock()):
                answer = await asking
        except (BudflowError, OSError) as failure:  # A TimeoutError is an OSError.
            if not self._away:
                self._away = True
                reason = failure.message if isinstance(failure, BudflowError) else type(failure).__name__
                log.warning("leader.lease_away", holder=self._holder, reason=reason)
            raise _Unanswered from failure
        if self._away:
            self._away = False
            log.info("leader.lease_back", holder=self._holder)
        return answer


def _tell_fault(doing: "asyncio.Task[None]") -> None:
    if not doing.cancelled() and not isinstance(doing.exception(), NotLeader | None):
        log.error("leader.work_failed", exc_info=doing.exception())
