"""Finds what is due in the store and takes it up: what is queued, what waited, and what a dead runner left."""

import asyncio
from collections import Counter, deque
from contextlib import suppress
from datetime import timedelta
from http import HTTPStatus

from budflow.errors import BudflowError
from budflow.execution.advance import fold
from budflow.execution.holding import BREAKS_MAX, Holding
from budflow.execution.plans import PlanCache
from budflow.execution.ports import ExecutionBroken, ExecutionStore, Lease
from budflow.execution.records import JournalWrite, Rest, Signal
from budflow.execution.signal import event_of
from budflow.execution.state import State
from budflow.execution.stepwise import plan_of_run
from budflow.execution.stored_journal import StoredJournal, read_stored
from budflow.execution.unfit import UNFIT
from budflow.graph.plan import Plan
from budflow.log import get_log
from budflow.model import event as e
from budflow.model.execution import Claim, ClaimLost, Execution
from budflow.model.failure import Failure
from budflow.model.identity import utc_now
from budflow.model.journal_row import EventOfNewerRelease, EventUnreadable
from budflow.model.path import path_of

POLL_SECONDS = 1.0
BEAT_SECONDS = 0.25
#: The third takeover without a new event ends an execution: it may be what kills its runners.
TAKEOVERS_MAX = 3
#: How long one that only a newer release can go on with is left alone: so soon that release takes it up.
ASIDE_SECONDS = 60.0

log = get_log(__name__)


class Poisoned(BudflowError):
    """Every runner that took the execution up died over it."""

    code = "execution.poisoned"
    http_status = 500
    hint = "Look at the named nodes: one of them may take all memory or crash the process. Fork it once that is mended."


class Intake:
    """The loops that look into the store for one runner. `queued`: there may be executions in the queue."""

    def __init__(
        self,
        store: ExecutionStore,
        plans: PlanCache,
        holding: Holding,
        *,
        runner: str,
        running_max: int,
        lease_seconds: float,
    ) -> None:
        self._store, self._plans, self._holding, self._runner = store, plans, holding, runner
        self.running_max, self._lease_seconds = running_max, lease_seconds
        self._lease: Lease | None = None
        self._claimed: deque[tuple[Claim, Execution]] = deque()  # Leased to this runner, and not yet taken up.
        self._failures: Counter[str] = Counter()  # How often each could not be taken up, for a reason that stays.
        self._unknown: set[str] = set()  # Leased to this runner, and not known to it when it last looked.
        self._wake, self._told = asyncio.Event(), asyncio.Event()
        self.queued = True  # The first look at the store tells.

    async def open(self) -> None:
        """Become known as a living runner, and take over from dead ones."""
        self._lease = await self._store.open_lease(self._runner, seconds=self._lease_seconds)
        await self._store.release_dead(self._runner)

    async def close(self) -> None:
        """Give everything back that is still leased."""
        if self._lease is None:
            return
        try:
            await self._store.give_back(self._runner)
            await self._lease.close()
        except BudflowError as error:
            log.warning("lease.not_closed", error=str(error))  # It ends by itself.

    def look(self) -> None:
        """Something in the store may be due now."""
        self.queued = True
        self._wake.set()

    def listen(self) -> None:
        """Something in the store may be for an execution that this runner has."""
        self._told.set()

    def freed(self, urgent: bool) -> None:
        """There is room for one more; `urgent`: something may be due for that reason."""
        if urgent or self.queued:
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
                await self._find_lost()
            except Exception as error:  # noqa: BLE001 - the worker's loop: whatever it was, the next turn tries again
                log.warning("sweep.failed", error=f"{type(error).__name__}: {error}")
                continue
            if dead:
                log.info("runners.released", dead=dead)
                self.look()

    async def _find_lost(self) -> None:
        """Take up what is leased to this runner and was never begun: the reply to the write that did it was lost."""
        leased = {*await self._store.list_leased(self._runner)}
        known = (
            self._holding.held.keys()
            | self._holding.dropped
            | self._holding.starting
            | {claim.execution_id for claim, _ in self._claimed}
        )
        unknown = leased - known
        if found := unknown & self._unknown:  # Twice in a row: it is not just on its way.
            self._holding.dropped |= found
            self._wake.set()
        self._unknown = unknown

    async def claim_forever(self) -> None:
        while not self._holding.stopping:
            seconds = POLL_SECONDS
            try:
                await self._claim()
                seconds = await self._until_next()
            except Exception as error:  # noqa: BLE001 - the worker's loop: whatever it was, the next turn tries again
                log.warning("claim.failed", error=f"{type(error).__name__}: {error}")
            await _wait(self._wake, seconds)

    async def _until_next(self) -> float:
        """Seconds until a waiting execution is due, or POLL_SECONDS."""
        due = await self._store.next_wake()
        return POLL_SECONDS if due is None else max(0.01, min(POLL_SECONDS, (due - utc_now()).total_seconds()))

    async def _claim(self) -> None:
        free = self.running_max - len(self._holding.held) - len(self._claimed)
        if free > 0:
            self.queued = False  # Whoever is queued from now on says so, also while the store is being asked.
            claims: list[tuple[Claim, Execution]] | None = None
            try:
                suspects = 0 if self._holding.suspects else 1
                claims = await self._store.claim(self._runner, limit=free, suspects=suspects)
            finally:
                self.queued = self.queued or claims is None or len(claims) == free
            self._claimed.extend(claims)
        for execution_id in [*self._holding.dropped]:
            if execution_id in self._holding.held:  # Taken up again already.
                self._holding.dropped.discard(execution_id)
                continue
            reclaimed = await self._store.reclaim(self._runner, execution_id)
            self._holding.dropped.discard(execution_id)
            if reclaimed is not None:
                self._claimed.append(reclaimed)
        for _ in range(len(self._claimed)):
            # One that cannot be taken up now stays claimed, and gets its next turn behind the others.
            claim, execution = self._claimed.popleft()
            try:
                await self._take_up(claim, execution)
            except ClaimLost:
                pass  # Somebody else has it.
            except Exception as error:  # noqa: BLE001 - the worker's loop: the others go on
                log.warning("claim.not_taken_up", execution=execution.id, error=f"{type(error).__name__}: {error}")
                self._failures[execution.id] += not _passes(error)
                self._claimed.append((claim, execution))
                continue
            self._failures.pop(execution.id, None)

    async def _take_up(self, claim: Claim, execution: Execution) -> None:
        read = await read_stored(self._store, execution)
        saved = read.saved
        plan: Plan | None = None
        try:
            if self._failures[execution.id] >= BREAKS_MAX:
                raise ExecutionBroken("It could not be taken up, which no other try would change.")
            events = read.events()
            admitted = next((event for event in events if isinstance(event, e.Admitted)), None)
            until = None if admitted is None else admitted.until
            version, plan = await self._plans.get(
                execution.project_id, execution.workflow_id, execution.version, until=until
            )
            plan = plan_of_run(plan, admitted)
            read.check_nodes(events, plan)
            signals = [event_of(signal) for signal in await self._store.signals_of(execution.id)]
            if (refused := self._holding.refused.get(execution.id)) is not None:
                raise refused
            if execution.takeovers >= TAKEOVERS_MAX:
                raise _poisoned(plan, events, read.state)
        except EventOfNewerRelease as error:
            await self._put_aside(claim, execution, read, error)
            return
        except BudflowError as error:
            if _passes(error):
                raise
            await self._holding.end_at_once(claim, execution, plan, read.next_seq, Failure.of(error))
            self._holding.refused.pop(execution.id, None)
            return
        if saved is not None:
            events = (events[0], *saved.calls, *events[1:])
        await self._holding.launch(
            execution, version, plan, events, claim=claim, next_seq=read.next_seq, saved=saved, signals=signals
        )

    async def _put_aside(
        self, claim: Claim, execution: Execution, read: StoredJournal, error: EventOfNewerRelease
    ) -> None:
        """Leave it to a server of the release that knows its events; to cancel it this one knows enough."""
        if execution.cancelling:
            await self._holding.end_at_once(claim, execution, None, read.next_seq, None)
            return
        log.warning("execution.put_aside", execution=execution.id, error=str(error))
        rest = Rest("upgrade", utc_now() + timedelta(seconds=ASIDE_SECONDS), patient=True)
        await self._store.append(JournalWrite(claim, (), rest=rest))

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


def _passes(error: Exception) -> bool:
    """Whether it may pass by itself: then nothing is to blame but the time."""
    return isinstance(error, BudflowError) and error.http_status == HTTPStatus.SERVICE_UNAVAILABLE


def _poisoned(plan: Plan, events: tuple[e.Event, ...], state: State | None) -> Poisoned:
    try:
        state = fold(plan, events, state)
    except UNFIT as error:
        raise EventUnreadable("An event does not fit the workflow and what came before it.") from error
    nodes = [
        path_of(plan.nodes[number].key, frame_id.rounds)
        for frame_id, frame in state.frames.items()
        for number in sorted(frame.running)
    ]
    named = ", ".join(f"`{path}`" for path in nodes[:10])
    return Poisoned(f"{TAKEOVERS_MAX} runners died over it, in a row; open was {named or 'no node'}.", nodes=nodes)
