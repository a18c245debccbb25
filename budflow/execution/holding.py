"""The executions that one runner has: each begun, seen through to its end, and given back while it only waits."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from typing import Any

from budflow.errors import BudflowError
from budflow.execution.blobs import BlobUnreadable
from budflow.execution.children import Cancel, Children, after_failure, end_of_child
from budflow.execution.figures import EngineFigures
from budflow.execution.held import CallKey, Held, Spawn
from budflow.execution.journal import Child, Journal, JournalClosed
from budflow.execution.not_started import NotStarted
from budflow.execution.plans import PlanCache
from budflow.execution.ports import (
    ChildCall,
    CredentialSource,
    CredentialUser,
    ExecutionBroken,
    ExecutionStore,
    Executor,
    RunLetGo,
    Running,
    Work,
)
from budflow.execution.records import RateAsk
from budflow.execution.saved_execution import SavedExecution
from budflow.execution.signal import signal_of
from budflow.execution.spread import Spread
from budflow.execution.wakes import Wakes
from budflow.execution.watched import Watched
from budflow.graph.plan import Plan, PlanNode
from budflow.log import get_log
from budflow.model import event as e
from budflow.model.credential import CredentialUnfit
from budflow.model.credential_kind import OpenCredential
from budflow.model.execution import Claim, ClaimLost, Execution
from budflow.model.failure import Failure
from budflow.model.identity import utc_now
from budflow.model.item import EMPTY
from budflow.model.journal_row import EventUnreadable
from budflow.model.path import path_of
from budflow.model.spilled import ListUnopened
from budflow.model.workflow import VersionRecord

#: What would only happen again.
_BROKEN = (ExecutionBroken, BlobUnreadable, EventUnreadable, ListUnopened)
#: The third break in a row, each after a new beginning, ends an execution.
BREAKS_MAX = 3
#: From so many takeovers on an execution is a suspect, and gets its turn apart from others.
SUSPECT_TAKEOVERS = 2
#: One that waits for less than this stays with its runner, as does one that somebody here waits for.
SHORT_WAIT_SECONDS = 5.0
REST_SECONDS = 0.1
REST_AGAIN_SECONDS = 2.0
#: Where the source of credentials is not there, an execution is taken up again only after this.
SOURCE_PAUSE_SECONDS = 1.0

log = get_log(__name__)


class Holding:
    """Meets Office. `freed(urgent)` is told when there is room for one more; `urgent`: somebody may wait for just that.
    `look` is told when something in the store may be due that was not before.

    `dropped` are leased to this runner, and let go since the store was not there; `starting` are about to be begun.
    `idling` wait for calls that others have, and are here only since somebody waits for them: they take no room.
    `refused` are those of which the store refuses something for good, and why: they are to be ended.
    """

    def __init__(
        self,
        store: ExecutionStore,
        plans: PlanCache,
        executor: Executor,
        *,
        runner: str,
        resume_url: Callable[[Execution], str | None],
        surroundings: Mapping[str, Mapping[str, Any]],
        cancel: Cancel,
        spawn: Spawn,
        freed: Callable[[bool], None],
        look: Callable[[], None],
        credentials: CredentialSource,
        figures: EngineFigures,
        wakes: Wakes,
        watched: Watched,
        spread: Spread,
    ) -> None:
        self._store, self.executor, self._runner, self.figures = store, executor, runner, figures
        self._resume_url, self._spawn, self._freed, self._look = resume_url, spawn, freed, look
        self._credentials, self._wakes, self._watched = credentials, wakes, watched
        self._spread, self._surroundings = spread, surroundings
        self._children = Children(
            plans, runner, self._launch_child, cancel, spawn, self._look, self.stored, spread, surroundings
        )
        self.held: dict[str, Held] = {}
        self.dropped: set[str] = set()
        self.starting: set[str] = set()
        self.idling: set[str] = set()
        self.refused: dict[str, BudflowError] = {}
        self._breaks: Counter[str] = Counter()  # How often each broke in a row, other than by an absent store.
        self.stopping = False

    @property
    def suspects(self) -> int:
        """How many of them may be what kills its runners."""
        return sum(held.execution.takeovers >= SUSPECT_TAKEOVERS for held in self.held.values())

    def deliver(self, execution_id: str, event: e.Event) -> None:
        """Hand in what a signal brought; where the execution is not here, it may be due now."""
        held = self.held.get(execution_id)
        if held is not None:
            held.deliver(event, signalled=True)
        else:
            self._wakes.tell("signals", execution_id)
            self._look()

    def deliver_cancel(self, held: Held, by: str) -> None:
        """Have an execution cancelled."""
        self.hand_in(held, e.CancelRequested(utc_now(), by), signalled=False)

    def hand_in(self, held: Held, event: e.Event, *, signalled: bool = True) -> None:
        """Deliver an event from outside. Who is asked to cancel need not be asked once more."""
        if isinstance(event, e.CancelRequested):
            held.execution = replace(held.execution, cancelling=True)
        held.deliver(event, signalled=signalled)

    @contextmanager
    def stored(self, execution_id: str) -> Iterator[None]:
        """While an execution is stored and begun. Where that fails it may be stored all the same: it is taken up."""
        self.starting.add(execution_id)
        try:
            yield
        except BaseException:
            self.dropped.add(execution_id)
            raise
        finally:
            self.starting.discard(execution_id)

    async def launch(
        self,
        execution: Execution,
        version: VersionRecord,
        plan: Plan,
        events: tuple[e.Event, ...],
        *,
        claim: Claim | None = None,
        admission: Execution | None = None,
        next_seq: int = 0,
        saved: SavedExecution | None = None,
        signals: Sequence[e.Event] = (),
    ) -> Held:
        """Have an execution advanced from its events so far; `admission` is its row where it is not stored yet.

        `saved` has what the events between the first and the second come to, `signals` what came from outside since.
        """
        error_workflow = None
        if plan.settings.error_workflow is not None:
            error_workflow = await self._children.prepare_error_workflow(execution, plan)
        self.figures.note_start(execution, () if saved is not None else events)
        held = Held(execution, plan, self, self._spawn, self.figures)
        held.error_workflow = error_workflow
        held.journal = Journal(
            self._store,
            claim or Claim(execution.id, self._runner, execution.token),
            next_seq=next_seq,
            admission=admission,
            on_break=held.stop_waiting,
            on_stored=partial(self._watched.changed, execution.id),
        )
        if admission is not None:
            held.append(*events)
        else:
            if saved is not None:
                held.recover(saved)
            for event in events:
                held.remember(event)
        static: Mapping[str, Any] = {}
        if any(node.spec.static for node in plan.nodes):
            static = await self._store.get_static(execution.project_id, execution.workflow_id)
        # Signing it takes long beside all else, and hardly any workflow reads it.
        resume_url = self._resume_url(execution) if "execution" in plan.names else None
        saved_run = None if saved is None else saved.run
        around = self._surroundings
        self._begin(held, Work(execution, version.document, plan, events, resume_url, static, saved_run, around))
        stopping = held.stopping
        for event in signals:
            self.hand_in(held, event)
        if execution.cancelling and not stopping and not any(isinstance(one, e.CancelRequested) for one in signals):
            held.deliver(e.CancelRequested(utc_now(), "before it was taken up"))
        return held

    def _begin(self, held: Held, work: Work) -> None:
        admitted = work.admitted
        held.callers = () if admitted is None else admitted.callers
        try:
            held.running = self.executor.start(work, held)
        except Exception as error:  # noqa: BLE001 - the worker's loop: one execution must not end the others
            held.running = NotStarted(error)
        before = self.held.get(held.execution.id)
        self.held[held.execution.id] = held
        if before is not None:  # It was lost to another runner, which gave it back, before this one saw that.
            before.give_up()
        held.task = asyncio.get_running_loop().create_task(self._see_through(held, held.running))

    async def _launch_child(
        self, execution: Execution, version: VersionRecord, plan: Plan, admitted: e.Admitted
    ) -> Held:
        return await self.launch(execution, version, plan, (admitted,), next_seq=1)

    async def end_at_once(
        self, claim: Claim, execution: Execution, plan: Plan | None, next_seq: int, failure: Failure | None
    ) -> None:
        """It can never run: end it with the reason rather than leave it in the queue for ever, and tell its caller.

        Where even its workflow is unknown (`plan` None), nothing can follow its failure. Without a failure it was to be
        cancelled.
        """
        journal = Journal(self._store, claim, next_seq=next_seq)
        finished = e.Finished(utc_now(), "cancelled" if failure is None else "failed", failure)
        if plan is not None:
            held = Held(execution, plan, self, self._spawn, self.figures)
            held.journal, held.error_workflow = journal, await self._children.prepare_error_workflow(execution, plan)
            held.append(finished)
            report = held.report
        else:
            journal.append(finished)
            report = end_of_child(execution, execution.workflow_id, finished, EMPTY)
            if report is not None and execution.parent is not None:
                journal.send(signal_of(execution.parent.execution_id, report))
        await journal.finish()
        self._watched.changed(execution.id, ended=True)
        self.figures.note_end(execution, finished.status)
        self._freed(True)
        if report is not None and execution.parent is not None:
            self.deliver(execution.parent.execution_id, report)

    async def _see_through(self, held: Held, running: Running) -> None:
        """Wait for the end of one execution, make it durable, and tell everybody."""
        broken: BudflowError | None = JournalClosed()
        try:
            await running.wait()
            if held.leaves_no_trace and held.finished is not None and held.finished.status == "succeeded":
                held.journal.discard()
            else:
                await held.journal.finish()
            broken = None
        except RunLetGo as gone:
            broken = await self._give_back(held) or gone
        except asyncio.CancelledError:
            if held.journal.broken is None:
                raise  # The server stops, or its loop does.
            broken = await self._end_broken(held, held.journal.broken)
        except Exception as error:  # noqa: BLE001 - the worker's loop: one execution must not end the others
            broken = await self._end_broken(held, error)
        finally:
            held.journal.close()
            if held.rest_timer is not None:
                held.rest_timer.cancel()
            if self.held.get(held.execution.id) is held:
                del self.held[held.execution.id]
                self.idling.discard(held.execution.id)
            held.settle(broken)
            if broken is None and held.report is not None and held.execution.parent is not None:
                self.deliver(held.execution.parent.execution_id, held.report)
            suspect = held.execution.takeovers >= SUSPECT_TAKEOVERS
            if broken is None:
                self._breaks.pop(held.execution.id, None)
                self._spread.note_end(held)
            self._freed(suspect or held.error_workflow is not None or held.execution.limit is not None)

    async def _end_broken(self, held: Held, error: Exception) -> BudflowError | None:
        """What waiters are told of an execution that broke. A fault that would only happen again ends it here."""
        if isinstance(error, BudflowError) and not isinstance(error, _BROKEN):
            log.warning("execution.let_go", execution=held.execution.id, error=str(error))
            if not isinstance(error, ClaimLost) and self.held.get(held.execution.id) is held:
                self._drop(held, error)
            return error
        log.error("execution.broken", execution=held.execution.id, exc_info=error)
        reason = error if isinstance(error, _BROKEN) else ExecutionBroken(f"{type(error).__name__}: {error}")
        if held.journal.broken is not None:
            self._drop(held, reason)
            return reason
        try:
            held.append(e.Finished(utc_now(), "failed", Failure.of(reason)))
            await held.journal.finish()
        except Exception as second:  # noqa: BLE001 - the worker's loop: it stays unfinished in the store
            log.warning("execution.let_go", execution=held.execution.id, error=str(second))
            self.dropped.add(held.execution.id)
            return reason
        return None

    def _drop(self, held: Held, error: BudflowError) -> None:
        """It is still this runner's: taken up again from its journal, unless that has helped nothing."""
        id_ = held.execution.id
        self._breaks[id_] += error.http_status != HTTPStatus.SERVICE_UNAVAILABLE
        if self._breaks[id_] >= BREAKS_MAX:
            self.refused[id_] = error
            del self._breaks[id_]
        self.dropped.add(id_)

    # --- what a held execution asks for -----------------------------------------------------------------------------

    def call(self, parent: Held, call: ChildCall) -> None:
        """See Office."""
        self._children.call(parent, call)

    def cancel_call(self, parent: Held, key: CallKey) -> None:
        """See Office."""
        self._children.cancel(parent, key)

    def reserve(self, held: Held, ask: RateAsk) -> None:
        """See Office."""
        self._spawn(self._reserve(held, ask))

    async def open_credential(self, held: Held, node: PlanNode, slot: str) -> OpenCredential:
        """See Office."""
        user = CredentialUser(held.execution.project_id, held.execution.workflow_id, held.plan.author)
        reference, declared = node.node.credentials.get(slot), node.spec.credentials.get(slot)
        if reference is None or declared is None:
            raise CredentialUnfit(f"`{node.key}` takes no credential as `{slot}`.")
        try:
            return await self._credentials.open(user, reference, declared.kinds)
        except BudflowError as error:
            if error.http_status == HTTPStatus.SERVICE_UNAVAILABLE:
                log.warning("credential.not_opened", execution=held.execution.id, error=str(error))
                await held.commit()  # It may not be stored at all yet.
                await asyncio.sleep(SOURCE_PAUSE_SECONDS)
                held.give_up()  # Taken up again, it asks again.
            raise

    def ended_child(self, held: Held, finished: e.Finished) -> e.ChildFinished | None:
        """See Office."""
        return end_of_child(held.execution, held.plan.name, finished, held.result())

    def after_failure(self, held: Held, finished: e.Finished) -> Child | None:
        """See Office."""
        return after_failure(held, finished)

    async def _reserve(self, held: Held, ask: RateAsk) -> None:
        try:
            due = await self._store.reserve(held.execution.project_id, ask)
        except BudflowError as error:
            log.warning("rate.not_reserved", execution=held.execution.id, error=str(error))
            if error.http_status == HTTPStatus.SERVICE_UNAVAILABLE:
                held.give_up()  # Taken up again, it asks again.
                return
            now = utc_now()
            failure = Failure.of(error, path_of(ask.node, ask.rounds))
            held.deliver(e.Reserved(now, ask.node, ask.ask, now, ask.rounds, failure))
            return
        held.deliver(e.Reserved(utc_now(), ask.node, ask.ask, due, ask.rounds))

    # --- resting ------------------------------------------------------------------------------------------------------

    def idle(self, held: Held) -> None:
        """See Office: give an execution back that only waits, unless that is over soon or somebody here waits too."""
        self.idling.discard(held.execution.id)
        if held.rest_timer is not None:
            held.rest_timer.cancel()
            held.rest_timer = None
        if held.rest is not None and not self.stopping:
            held.flush()  # Whoever is to answer must find it stored, also where nothing was acknowledged yet.
            held.rest_timer = asyncio.get_running_loop().call_later(REST_SECONDS, self._consider_rest, held)

    def _consider_rest(self, held: Held) -> None:
        rest = held.rest
        if rest is None or held.running is None or self.stopping:
            return
        soon = rest.wake_at is not None and (rest.wake_at - utc_now()).total_seconds() < SHORT_WAIT_SECONDS
        children_here = any(
            call.execution_id in self.held or call.execution_id in self.starting for call in held.calls.values()
        )
        starting = rest.reason == "child" and not held.calls
        # What came for it is under way to its run, or to its journal, and it will not rest much longer.
        goes_on = soon or children_here or starting or bool(held.signalled)
        if goes_on or held.watchers:
            if rest.reason == "child" and not goes_on and held.execution.id not in self.idling:
                self.idling.add(held.execution.id)
                self._look()
            held.rest_timer = asyncio.get_running_loop().call_later(REST_AGAIN_SECONDS, self._consider_rest, held)
            return
        held.running.let_go()

    async def _give_back(self, held: Held) -> BudflowError | None:
        rest = held.rest
        if rest is None:  # Something happened at the last moment: it is taken up again.
            return await self._end_broken(held, JournalClosed())
        try:
            await held.journal.finish(rest)
        except Exception as error:  # noqa: BLE001 - the worker's loop: one execution must not end the others
            return await self._end_broken(held, error)
        self._look()
        return None if held.finished is not None else RunLetGo("The execution waits for something.")
