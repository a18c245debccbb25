"""Takes up what was claimed: reads its journal, and has it begun where it stands, or ended where it can never run."""

import asyncio
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from http import HTTPStatus

from budflow.errors import BudflowError
from budflow.execution.advance import fold
from budflow.execution.holding import BREAKS_MAX, Holding
from budflow.execution.plans import PlanCache
from budflow.execution.ports import ExecutionBroken, ExecutionStore
from budflow.execution.records import JournalWrite, Rest, Signal, Unbegun
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

#: The third takeover without a new event ends an execution: it may be what kills its runners.
TAKEOVERS_MAX = 3
#: How long one that only a newer release can go on with is left alone: so soon that release takes it up.
ASIDE_SECONDS = 60.0
#: So many are taken up at the same time: one after the other they would wait for the database most of the time.
AT_ONCE = 4

log = get_log(__name__)


class Poisoned(BudflowError):
    """Every runner that took the execution up died over it."""

    code = "execution.poisoned"
    http_status = 500
    hint = "Look at the named nodes: one of them may take all memory or crash the process. Fork it once that is mended."


class Taking:
    """What is leased to a runner and not begun yet; its length is how many they are."""

    def __init__(self, store: ExecutionStore, plans: PlanCache, holding: Holding) -> None:
        self._store, self._plans, self._holding = store, plans, holding
        self._claimed: deque[tuple[Claim, Execution]] = deque()
        self._unbegun: dict[str, Unbegun] = {}
        self._under_way: set[str] = set()
        self._failures: Counter[str] = Counter()  # How often each could not be taken up, for a reason that stays.

    def __len__(self) -> int:
        return len(self._claimed) + len(self._under_way)

    @property
    def ids(self) -> set[str]:
        """Of all of them."""
        return self._under_way | {claim.execution_id for claim, _ in self._claimed}

    def add(self, claims: Iterable[tuple[Claim, Execution]], unbegun: Mapping[str, Unbegun] | None = None) -> None:
        """These were claimed; `unbegun` is what is stored of some of them, if that is known already."""
        self._claimed.extend(claims)
        self._unbegun.update(unbegun or {})

    async def take_up(self) -> None:
        """Give each of them a turn. One that cannot be taken up now gets its next turn behind the others."""
        unbegun = await self._read_unbegun()
        taken = [*self._claimed]
        self._claimed.clear()
        self._under_way = {execution.id for _, execution in taken}
        turns = iter(taken)
        await asyncio.gather(*(self._take_turns(turns, unbegun) for _ in range(min(AT_ONCE, len(taken)))))

    async def _read_unbegun(self) -> Mapping[str, Unbegun]:
        known, self._unbegun = self._unbegun, {}
        new = [one.id for _, one in self._claimed if one.started_at is None and one.id not in known]
        if not new:
            return known
        try:
            return {**known, **await self._store.read_unbegun(new)}
        except Exception as error:  # noqa: BLE001 - the worker's loop: read one by one, only what is at fault fails
            log.warning("claim.not_read", error=f"{type(error).__name__}: {error}")
            return known

    async def _take_turns(self, turns: Iterator[tuple[Claim, Execution]], unbegun: Mapping[str, Unbegun]) -> None:
        for claim, execution in turns:
            try:
                await self._take_up(claim, execution, unbegun.get(execution.id))
            except ClaimLost:
                pass  # Somebody else has it.
            except Exception as error:  # noqa: BLE001 - the worker's loop: the others go on
                log.warning("claim.not_taken_up", execution=execution.id, error=f"{type(error).__name__}: {error}")
                self._failures[execution.id] += not _passes(error)
                self._claimed.append((claim, execution))
            else:
                self._failures.pop(execution.id, None)
            self._under_way.discard(execution.id)

    async def _take_up(self, claim: Claim, execution: Execution, unbegun: Unbegun | None) -> None:
        read = await read_stored(self._store, execution) if unbegun is None else StoredJournal([*unbegun.events])
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
            signals = [event_of(signal) for signal in await self._signals_of(execution, unbegun)]
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

    async def _signals_of(self, execution: Execution, unbegun: Unbegun | None) -> Sequence[Signal]:
        return await self._store.signals_of(execution.id) if unbegun is None else unbegun.signals

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
