"""An execution that this owner is having advanced, as the link of its run: journal, those who wait, and its calls."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

from budflow.errors import BudflowError
from budflow.execution.active import Active
from budflow.execution.figures import EngineFigures
from budflow.execution.journal import Child, Journal
from budflow.execution.ports import ChildCall, Running
from budflow.execution.records import OpenWait, RateAsk, Rest, Snapshot
from budflow.execution.saved_execution import SavedExecution
from budflow.execution.signal import signal_key, signal_of, wait_key
from budflow.execution.uses import uses_of
from budflow.graph.plan import Plan, PlanNode
from budflow.log import get_log
from budflow.model import event as e
from budflow.model.credential_kind import OpenCredential
from budflow.model.execution import Execution
from budflow.model.path import path_of

Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]
CallKey = tuple[str, int]  # The path of a node, and the number of its call.
_NODE_ENDS = (e.NodeFinished, e.NodeFailed, e.NodeCancelled)

log = get_log(__name__)


@dataclass(frozen=True, slots=True)
class ErrorRun:
    """What is to run when an execution fails; the failure itself is still to be put into the item it brings."""

    execution: Execution
    admitted: e.Admitted


class Office(Protocol):
    """What a held execution needs of who holds it: for its calls, and when it rests."""

    def call(self, parent: "Held", call: ChildCall) -> None: ...

    def cancel_call(self, parent: "Held", key: CallKey) -> None: ...

    def reserve(self, held: "Held", ask: RateAsk) -> None: ...

    async def open_credential(self, held: "Held", node: PlanNode, slot: str) -> OpenCredential: ...

    def idle(self, held: "Held") -> None: ...

    def ended_child(self, held: "Held", finished: e.Finished) -> e.ChildFinished | None: ...

    def after_failure(self, held: "Held", finished: e.Finished) -> Child | None: ...


class Held(Active):
    """Meets Link. `running` is set once its run was started, and `task` sees it through to its end."""

    __slots__ = (
        "_figures",
        "_office",
        "_saving",
        "_spawn",
        "callers",
        "calls",
        "cancelled_calls",
        "error_workflow",
        "journal",
        "report",
        "rest",
        "rest_timer",
        "running",
        "signalled",
        "stopping",
        "task",
        "waits",
    )

    def __init__(self, execution: Execution, plan: Plan, office: Office, spawn: Spawn, figures: EngineFigures) -> None:
        super().__init__(execution, plan)
        self._office, self._spawn, self._figures = office, spawn, figures
        self.journal: Journal
        self.running: Running | None = None
        self.task: asyncio.Task[None] | None = None
        #: The executions that it called and that have not ended, and the calls that are to be cancelled.
        self.calls: dict[CallKey, e.ChildStarted] = {}
        self.cancelled_calls: set[CallKey] = set()
        #: The signals that were delivered and whose events are not journaled yet; the open waits of each node path.
        self.signalled: set[str] = set()
        self.waits: dict[str, set[str]] = {}
        #: What it only waits for, and the timer after which it is given back.
        self.rest: Rest | None = None
        self.rest_timer: asyncio.TimerHandle | None = None
        #: What its parent is told of its end, once that is durable; what runs when it fails.
        self.report: e.ChildFinished | None = None
        self.error_workflow: ErrorRun | None = None
        #: Whether its journal has a request to cancel it.
        self.stopping = False
        #: The workflows whose executions called this one, from the outside in.
        self.callers: tuple[str, ...] = ()
        self._saving: asyncio.Task[None] | None = None

    def append(self, *events: e.Event) -> None:
        """See Link."""
        for event in events:
            if isinstance(event, e.Finished):
                self._add_to_end(event)
            self.journal.append(event)
            self.observe(event)
            self._note(event)
            if isinstance(event, _NODE_ENDS):
                self._figures.note_node(self.plan, event)
            if isinstance(event, e.Responded) and not self.answered.done() and not self.leaves_no_trace:
                self._spawn(self._announce_answer())

    @property
    def leaves_no_trace(self) -> bool:
        """Whether a success is not kept, and nothing was stored so far: it is answered when it is known to be one.

        One that used a credential is stored all the same, with its use.
        """
        kept_seconds = self.plan.settings.retention.succeeded_seconds
        return kept_seconds == 0 and self.journal.unseen and not self.journal.has_uses

    def start_child(self, child: Child, event: e.ChildStarted) -> None:
        """Insert a child with the event that names it."""
        self.journal.add_child(child, event)
        self._note(event)

    async def commit(self) -> None:
        """See Link."""
        await self.journal.commit()

    def flush(self) -> None:
        """See Link."""
        self.journal.flush()

    def call(self, call: ChildCall) -> None:
        """See Link."""
        self._office.call(self, call)

    def cancel_call(self, node: str, call: int, rounds: tuple[int, ...] = ()) -> None:
        """See Link."""
        self._office.cancel_call(self, (path_of(node, rounds), call))

    def reserve(self, ask: RateAsk) -> None:
        """See Link."""
        self._office.reserve(self, ask)

    async def open_credential(self, node: str, slot: str) -> OpenCredential:
        """See Link."""
        return await self._office.open_credential(self, self.plan.nodes[self.plan.index[node]], slot)

    def idle(self, rest: Rest | None) -> None:
        """See Link."""
        self.rest = rest
        self._office.idle(self)

    def snapshot(self, pack: Callable[[], bytes]) -> None:
        """See Link. One at a time, and none of an execution that nobody can see yet."""
        if self.journal.unseen or self.journal.broken is not None or (self._saving and not self._saving.done()):
            return
        waits = {path: sorted(keys) for path, keys in self.waits.items()}
        saved = SavedExecution(b"", tuple(self.calls.values()), self.responded, waits, dict(self.sinks), self.stopping)
        self._saving = self._spawn(self._save(saved, self.journal.next_seq, pack))

    def recover(self, saved: SavedExecution) -> None:
        """Take note of what a snapshot says; its calls are to be remembered."""
        self.responded, self.stopping = saved.responded, saved.stopping
        self.sinks.update(saved.sinks)
        self.waits.update({path: set(keys) for path, keys in saved.waits.items()})

    def deliver(self, event: e.Event, *, signalled: bool = False) -> None:
        """Hand an event to the run; one that is over ignores it. `signalled`: it stands in the store as a signal."""
        if signalled and (key := signal_key(event)) is not None:
            if key in self.signalled:
                return
            self.signalled.add(key)
        if self.running is not None:
            self.running.deliver(event)

    def remember(self, event: e.Event) -> None:
        """Take note of what the journal has already, of an execution that is taken up again."""
        self.observe(event)
        match event:
            case e.ChildStarted():
                self.calls[path_of(event.node, event.rounds), event.call] = event
            case e.ChildFinished():
                self.calls.pop((path_of(event.node, event.rounds), event.call), None)
            case e.WaitStarted():
                path = path_of(event.node, event.rounds)
                self.waits.setdefault(path, set()).add(wait_key(path, event.wait))
            case e.WaitEnded() | e.NodeFinished() | e.NodeFailed() | e.NodeCancelled():
                self.waits.pop(path_of(event.node, event.rounds), None)
            case e.CancelRequested():
                self.stopping = True
            case _:
                pass

    def stop_waiting(self) -> None:
        """Let the run go, since its journal broke: what it does from now on could never be written."""
        if self.task is not None and self.task is not asyncio.current_task():
            # Behind its first turn, without which it could not even say that it ends.
            asyncio.get_running_loop().call_soon(self.task.cancel)

    def give_up(self) -> None:
        """Let the run go where it stands; who holds the execution takes it up again from its journal."""
        self.journal.close()
        self.stop_waiting()

    def settle(self, broken: BudflowError | None) -> None:
        """Tell those who wait: the end is durable, or will not come from this process because of `broken`."""
        if broken is None and self.finished is not None:
            self._figures.note_end(self.execution, self.finished.status)
        for future in (self.answered, self.ended):
            if future.done():
                continue
            if broken is None:
                future.set_result(None)
            else:
                future.set_exception(broken)
                future.exception()  # Whoever waits gets it; nobody need wait.

    def _note(self, event: e.Event) -> None:
        """Open and close what others may answer, and use up the signals that brought events."""
        match event:
            case e.WaitStarted():
                path = path_of(event.node, event.rounds)
                key = wait_key(path, event.wait)
                self.waits.setdefault(path, set()).add(key)
                execution = self.execution
                wait = OpenWait(
                    execution.id, execution.project_id, key, path, event.reason, event.at, event.until, event.ask
                )
                self.journal.open_wait(wait)
            case e.WaitEnded() | e.NodeFinished() | e.NodeFailed() | e.NodeCancelled():
                if isinstance(event, e.NodeFinished) and event.static is not None:
                    self.journal.keep_static(event.static)
                if self.waits:
                    for key in self.waits.pop(path_of(event.node, event.rounds), ()):
                        self.journal.close_wait(key)
            case e.ChildStarted():
                self.calls[path_of(event.node, event.rounds), event.call] = event
            case e.ChildFinished():
                self.calls.pop((path_of(event.node, event.rounds), event.call), None)
            case e.CancelRequested():
                self.stopping = True
            case e.CredentialsUsed():
                self._note_uses(event.at, path_of(event.node, event.rounds), event.credentials)
            case e.Admitted() if event.credentials:
                self._note_uses(event.at, event.trigger, event.credentials)
            case _:
                pass
        if self.signalled:
            key_ = event.signal if isinstance(event, e.ResultIgnored) else signal_key(event)
            if key_ is not None and key_ in self.signalled:
                self.signalled.discard(key_)
                self.journal.consume(key_)

    def _note_uses(self, at: datetime, node: str, credentials: Mapping[str, str]) -> None:
        for use in uses_of(self.execution, self.plan, self.principal, at, node, credentials):
            self.journal.note_use(use)

    def _add_to_end(self, finished: e.Finished) -> None:
        """What is to be true together with the end: its caller is told, and a failure is followed up."""
        parent = self.execution.parent
        self.report = self._office.ended_child(self, finished)
        if parent is not None and self.report is not None:
            self.journal.send(signal_of(parent.execution_id, self.report))
        followed = self._office.after_failure(self, finished)
        if followed is not None:
            self.journal.admit_with_end(followed)

    async def _save(self, saved: SavedExecution, next_seq: int, pack: Callable[[], bytes]) -> None:
        """Store a snapshot, once all that it comes from is durable. Without it nothing is lost but time."""
        try:
            payload = await asyncio.to_thread(lambda: replace(saved, run=pack()).pack())
            await self.journal.save(Snapshot(next_seq, payload))
        except BudflowError as error:
            log.info("snapshot.not_taken", execution=self.execution.id, error=str(error))

    async def _announce_answer(self) -> None:
        try:
            await self.journal.commit()
        except Exception:  # noqa: BLE001 - the worker's loop
            return  # Whoever sees the run through meets it too, and tells those who wait.
        if not self.answered.done():
            self.answered.set_result(None)
