"""Finds what is due in the store and takes it up: what is queued, what waited, and what a dead runner left."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from budflow.errors import BudflowError
from budflow.execution.holding import Holding
from budflow.execution.pace import PAUSE_SECONDS, Pace
from budflow.execution.plans import PlanCache
from budflow.execution.ports import ExecutionStore, Lease
from budflow.execution.records import Signal
from budflow.execution.signal import event_of
from budflow.execution.taking import Taking
from budflow.execution.wakes import Wakes
from budflow.log import get_log
from budflow.model.execution import Claim, Execution, RunnerKind
from budflow.model.identity import utc_now
from budflow.model.journal_row import EventUnreadable

POLL_SECONDS = 1.0
BEAT_SECONDS = 0.25

log = get_log(__name__)


class Intake:
    """The loops that look into the store for one runner. `queued`: there may be executions in the queue for it."""

    def __init__(
        self,
        store: ExecutionStore,
        plans: PlanCache,
        holding: Holding,
        *,
        runner: str,
        running_max: int,
        lease_seconds: float,
        wakes: Wakes,
        kind: RunnerKind = "main",
        details: Mapping[str, Any] | None = None,
        claims: bool = True,
    ) -> None:
        """Without `claims` nothing is taken from the queue; the runner only keeps what it was given otherwise."""
        self._store, self._holding, self._runner = store, holding, runner
        self.running_max, self._lease_seconds = running_max, lease_seconds
        self._kind, self._details, self._claims, self._wakes = kind, details, claims, wakes
        self._pace = Pace()
        self._lease: Lease | None = None
        self._taking = Taking(store, plans, holding)
        self._unknown: set[str] = set()  # Leased to this runner, and not known to it when it last looked.
        self._wake, self._told = asyncio.Event(), asyncio.Event()
        self.queued = claims  # The first look at the store tells.
        self._named: str | None = None  # The one that is known to be in the queue, where nothing else is known of it.
        self._search_at = 0.0  # When the store is to be searched again, whatever is told until then.

    async def open(self) -> None:
        """Become known as a living runner, and take over from dead ones."""
        self._lease = await self._store.open_lease(
            self._runner, seconds=self._lease_seconds, kind=self._kind, details=self._details
        )
        await self._store.release_dead(self._runner)
        self._pace.runners = await self._store.count_runners()

    async def close(self) -> None:
        """Give everything back that is still leased."""
        if self._lease is None:
            return
        try:
            await self._store.give_back(self._runner)
            await self._lease.close()
            self._wakes.tell("queue")
        except BudflowError as error:
            log.warning("lease.not_closed", error=str(error))  # It ends by itself.

    def look(self) -> None:
        """Something in the store may be due now."""
        self.queued = self._claims
        self._wake.set()

    def look_for(self, execution_id: str) -> None:
        """The same, and this one is what was queued. What is thought to be empty otherwise need not be searched."""
        if not self._claims or self.queued or self._named is not None or self.room <= 0:
            self.look()
            return
        self._named = execution_id
        self._wake.set()

    def offer(self) -> None:
        """The same, of something that the others are to look for where there is no room here."""
        self.look()
        if self.room <= 0:
            self._wakes.tell("queue")

    def listen(self) -> None:
        """Something in the store may be for an execution that this runner has."""
        self._told.set()

    def freed(self, urgent: bool) -> None:
        """There is room for one more; `urgent`: something may be due for that reason."""
        self._pace.end()
        if urgent:
            self.offer()
        elif self.queued and self._pace.keeps_up:
            self.look()

    async def beat_forever(self) -> None:
        while True:
            if self._lease is not None:
                self._lease.beat()
            await asyncio.sleep(BEAT_SECONDS)

    async def sweep_forever(self) -> None:
        """Take over from runners that died."""
        while not self._holding.stopping:
            await asyncio.sleep(min(POLL_SECONDS, self._lease_seconds / 2))
            try:
                dead = await self._store.release_dead(self._runner)
                self._pace.runners = await self._store.count_runners()
                await self._find_lost()
            except Exception as error:  # noqa: BLE001 - the worker's loop: whatever it was, the next turn tries again
                log.warning("sweep.failed", error=f"{type(error).__name__}: {error}")
                continue
            if dead:
                log.info("runners.released", dead=dead)
                self._holding.figures.dead_runners.add(by=len(dead))
                self.look()
                self._wakes.tell("queue")  # What they had may be more than one can take over.

    async def _find_lost(self) -> None:
        """Take up what is leased to this runner and was never begun: the reply to the write that did it was lost."""
        leased = {*await self._store.list_leased(self._runner)}
        known = self._holding.held.keys() | self._holding.dropped | self._holding.starting | self._taking.ids
        unknown = leased - known
        if found := unknown & self._unknown:  # Twice in a row: it is not just on its way.
            self._holding.dropped |= found
            self._wake.set()
        self._unknown = unknown

    async def claim_forever(self) -> None:
        while not self._holding.stopping:
            seconds = POLL_SECONDS
            now = asyncio.get_running_loop().time
            try:
                if await self._claim(named_only=now() < self._search_at):
                    self._search_at = now() + await self._until_next()
                seconds = max(0.0, self._search_at - now())
            except Exception as error:  # noqa: BLE001 - the worker's loop: whatever it was, the next turn tries again
                log.warning("claim.failed", error=f"{type(error).__name__}: {error}")
            await _wait(self._wake, seconds)

    async def _until_next(self) -> float:
        """Seconds until the next look: there is more at once, a waiting execution is due, or POLL_SECONDS."""
        if self.queued or not self._claims:
            return PAUSE_SECONDS if self.room > 0 else POLL_SECONDS
        due = await self._store.next_wake()
        return POLL_SECONDS if due is None else max(0.01, min(POLL_SECONDS, (due - utc_now()).total_seconds()))

    @property
    def runners(self) -> int:
        """How many runners there are, this one among them, as far as it knows."""
        return self._pace.runners

    @property
    def room(self) -> int:
        """How many more it may claim."""
        busy = len(self._holding.held) - len(self._holding.idling) + len(self._taking)
        return self.running_max - busy if self._claims else 0

    async def _claim(self, *, named_only: bool) -> bool:
        """Whether the store was searched: it need not be where it is known what was queued, if that may do for now."""
        named, self._named = self._named, None
        searched = True
        if self.room <= 0:
            self.queued = self.queued or named is not None
        elif named is not None and named_only and not self.queued:
            await self._claim_named(named)
            searched = False
        else:
            await self._claim_some()
        for execution_id in [*self._holding.dropped]:
            if execution_id in self._holding.held:  # Taken up again already.
                self._holding.dropped.discard(execution_id)
                continue
            reclaimed = await self._store.reclaim(self._runner, execution_id)
            self._holding.dropped.discard(execution_id)
            if reclaimed is not None:
                self._taking.add([reclaimed])
        await self._taking.take_up()
        return searched

    async def _claim_some(self) -> None:
        asked = self._pace.ask(self.room)
        self.queued = False  # Whoever is queued from now on says so, also while the store is being asked.
        claims: list[tuple[Claim, Execution]] | None = None
        began = time.monotonic()
        try:
            suspects = 0 if self._holding.suspects else 1
            claims = await self._store.claim(self._runner, limit=asked, suspects=suspects)
        finally:
            self.queued = self.queued or claims is None or len(claims) == asked
        self._taking.add(claims)
        self._holding.figures.claims.add(time.monotonic() - began)
        self._holding.figures.claimed.add(by=len(claims))

    async def _claim_named(self, execution_id: str) -> None:
        """Where it is gone already, somebody else was told as well and has it."""
        began = time.monotonic()
        try:
            claimed = await self._store.claim_queued(self._runner, execution_id)
        except BaseException:
            self.queued = True  # The next look tells.
            raise
        if claimed is not None:
            claim, execution, unbegun = claimed
            self._taking.add([(claim, execution)], {execution_id: unbegun})
        self._holding.figures.claims.add(time.monotonic() - began)
        self._holding.figures.claimed.add(by=int(claimed is not None))

    async def listen_forever(self) -> None:
        """Find out what other server processes were asked to tell or to cancel."""
        while True:
            await _wait(self._told, POLL_SECONDS)
            if not self._holding.held:
                continue
            try:
                wanted = await self._store.cancelling(self._runner)
                signals = await self._store.signals(self._runner)
            except Exception as error:  # noqa: BLE001 - the worker's loop: whatever it was, the next turn tries again
                log.warning("listen.failed", error=f"{type(error).__name__}: {error}")
                continue
            for signal in signals:
                self._hand_in(signal)
            for execution_id in wanted:
                held = self._holding.held.get(execution_id)
                if held is not None and not held.execution.cancelling:
                    self._holding.deliver_cancel(held, "somebody at another server")

    def _hand_in(self, signal: Signal) -> None:
        held = self._holding.held.get(signal.execution_id)
        if held is None:
            return
        try:
            self._holding.hand_in(held, event_of(signal))
        except EventUnreadable as error:
            log.warning("signal.not_read", execution=signal.execution_id, error=str(error))
            held.give_up()  # Taken up again, it ends with that, or is put aside.


async def _wait(event: asyncio.Event, seconds: float) -> None:
    """Until it happens, at most so long; then it is to happen anew."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):  # Unlike `wait_for`, it never swallows that its task is cancelled.
            await event.wait()
        event.clear()
