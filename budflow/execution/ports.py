"""What executing needs from outside: the journal's store and a place to run. Adapters meet these by shape."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Protocol

from budflow.errors import BudflowError
from budflow.execution.records import AdmissionKey, JournalWrite, OpenWait, RateAsk, Rest, Signal, Snapshot, Unbegun
from budflow.graph.plan import Plan
from budflow.model.credential import CredentialUse
from budflow.model.credential_kind import OpenCredential
from budflow.model.event import Admitted, Event, StoredEvent
from budflow.model.execution import Claim, Execution, RunnerKind, Status
from budflow.model.item import ItemList
from budflow.model.wait import ALL_WAITS, WantedWaits
from budflow.model.workflow import VersionRecord, WorkflowRecord

#: `$vars` and `$env` of a server that lets nothing be read.
NOTHING_AROUND: Mapping[str, Mapping[str, Any]] = MappingProxyType({"vars": {}, "env": {}})


class ExecutionBroken(BudflowError):
    """The engine failed while it advanced the execution."""

    code = "execution.broken"
    http_status = 500
    hint = "This is a fault of the server, not of the workflow; the server's log has the traceback."


class Lease(Protocol):
    """A runner's right to its executions, renewed beside the event loop until it is closed or lost."""

    def beat(self) -> None:
        """The event loop makes progress; when it has not for a minute the lease is no longer renewed."""
        ...

    @property
    def lost(self) -> bool:
        """Whether others may have taken this runner's executions since it began."""
        ...

    async def close(self) -> None:
        """Give the lease up at once."""
        ...


class ExecutionStore(Protocol):
    """The executions and their journals, the truth about what ran. Times of leases are the database's."""

    async def admit(
        self,
        execution: Execution,
        events: Sequence[StoredEvent],
        trigger_key: AdmissionKey | None = None,
        uses: tuple[CredentialUse, ...] = (),
    ) -> None:
        """Insert a `queued` execution with its first events and the door's uses of credentials; durable on return.

        Raises KeyKnown (details: execution_id) or KeyReused for an idempotency key, SlotFired (details: execution_id)
        or SlotSettled for the slot of a schedule, and, where the execution's `limit` says `drop` and its
        group is full, LimitReached; nothing is stored then. With the policy `cancel_oldest` the oldest of a full group
        are flagged `cancelling`, or ended where they are queued.
        """
        ...

    async def claim(self, runner: str, *, limit: int, suspects: int = 1) -> list[tuple[Claim, Execution]]:
        """Lease up to `limit` executions to `runner` that are queued, or waiting with a `wake_at` that has come.

        Higher priority first, which every minute in the queue raises by one; within a priority round robin over
        (project, workflow), the oldest of each first. One whose `limit` is full stays: at most `running_max` of a group
        are running or waiting. Of those with `takeovers` of 2 or more at most `suspects` are given, when their back-off
        of 2 ** takeovers seconds is over. The status becomes `running`. Each claim carries a fencing token that is
        higher than any that the execution ever had.
        """
        ...

    async def claim_queued(self, runner: str, execution_id: str) -> tuple[Claim, Execution, Unbegun] | None:
        """Lease one execution of which is known that it was just queued, with what is stored of it.

        None where it is not queued any more, was claimed before, has a limit or is to be cancelled. Of what else is in
        the queue this knows nothing: it is for runners that believe it to be empty.
        """
        ...

    async def reclaim(self, runner: str, execution_id: str) -> tuple[Claim, Execution] | None:
        """Lease an execution anew that `runner` holds, after its journal broke; None where it no longer does."""
        ...

    async def list_leased(self, runner: str) -> list[str]:
        """The ids of all that `runner` holds."""
        ...

    async def give_back(self, runner: str) -> None:
        """Queue all that `runner` holds, with a higher token: it stops, and none of it is to blame."""
        ...

    async def append(self, write: JournalWrite) -> None:
        """Write to one journal; durable when this returns.

        Raises ClaimLost when the row carries another token or is terminal: nothing of the write is stored, and the
        other writes that shared its transaction are. With a `trigger_key` also what `admit` raises for it.
        """
        ...

    async def open_lease(
        self, runner: str, *, seconds: float, kind: RunnerKind = "main", details: Mapping[str, Any] | None = None
    ) -> Lease:
        """Become known as a living runner. The lease ends `seconds` after it was last renewed.

        `details` are for people: what JSON can hold, such as how much it may run, its release and its Ray node. With
        `claims` false it is known to take nothing from the queue.
        """
        ...

    async def count_runners(self) -> int:
        """How many runners there are on this store that take from its queue, this process's among them."""
        ...

    async def release_dead(self, runner: str) -> list[str]:
        """Give back the executions of runners that are dead: known to be, or with a lease that ran out.

        They become `queued` with a higher token, and `takeovers` is one more, or 1 where events other than
        `execution.started` and `node.logged` were written since the takeover before. Returns the dead runners; never
        `runner` itself.
        """
        ...

    async def next_wake(self) -> datetime | None:
        """The earliest `wake_at` of all that waits."""
        ...

    async def send_signal(self, project_id: str, signal: Signal) -> Execution | None:
        """Store a signal for a live execution; it replaces an earlier one with its key. One that waits is due now.

        Returns the row; None when there is no such execution. Raises ExecutionEnded.
        """
        ...

    async def answer_wait(self, project_id: str, signal: Signal) -> None:
        """Store the signal that answers an open wait. Raises WaitClosed where there is none, or it was answered."""
        ...

    async def list_waits(self, project_id: str, wanted: WantedWaits = ALL_WAITS, *, limit: int = 100) -> list[OpenWait]:
        """Open waits, the oldest first; those that only time ends are among them."""
        ...

    async def signals(self, runner: str) -> list[Signal]:
        """The signals for the executions leased to `runner`, the oldest first, 1,000 at most."""
        ...

    async def signals_of(self, execution_id: str) -> list[Signal]:
        """The signals for one execution, the oldest first."""
        ...

    async def read_unbegun(self, execution_ids: Sequence[str]) -> Mapping[str, Unbegun]:
        """What is stored of executions that never began, by id: all at once, since most that are claimed are such."""
        ...

    async def get_execution(self, project_id: str, execution_id: str) -> Execution | None: ...

    async def read_events(
        self, project_id: str, execution_id: str, *, after: int = -1, limit: int = 10_000
    ) -> list[StoredEvent]:
        """Events with `seq` greater than `after`, in order; none when the execution is unknown in this project."""
        ...

    async def get_snapshot(self, execution_id: str) -> Snapshot | None:
        """The newest snapshot."""
        ...

    async def put_snapshot(self, claim: Claim, snapshot: Snapshot) -> None:
        """Replace the execution's snapshot; nothing happens where the claim is lost."""
        ...

    async def reserve(self, project_id: str, ask: RateAsk) -> datetime:
        """Take turns in a shared rate, evenly spaced behind those that others took: the time of the last of them.

        The generic cell rate algorithm without a burst (ITU-T I.371): a row a key, which says when it is free again.
        Raises TextRefused for a key that no database can keep.
        """
        ...

    async def get_static(self, project_id: str, workflow_id: str) -> Mapping[str, Any]:
        """The static data of a workflow by node key; "" is the workflow's own."""
        ...

    async def request_cancel(self, project_id: str, execution_id: str, ended: StoredEvent) -> Execution | None:
        """Set `cancelling`; a `queued` execution that never began ends as `cancelled` at once, with `ended` appended
        (seq is set here), unless a caller waits for it: then whoever takes it up ends it, and tells the caller.

        One that waits is due now. Returns the row after the change, unchanged where it was already terminal; None when
        there is no such execution.
        """
        ...

    async def cancelling(self, runner: str) -> list[str]:
        """The ids of the executions leased to `runner` that somebody wants cancelled."""
        ...

    async def count_queued(self) -> int:
        """How many executions wait to be claimed."""
        ...

    async def count_by_status(self) -> Mapping[Status, int]:
        """How many executions there are of each status that is not terminal."""
        ...

    async def delete_old_keys(self, before: datetime) -> None:
        """Forget the idempotency keys of triggers that are older."""
        ...


@dataclass(frozen=True, slots=True)
class ChildCall:
    """A node asks for another workflow to run with these items; answered by a ChildFinished event where `awaited`."""

    node: str
    call: int
    workflow_id: str
    version: int | None
    items: ItemList
    rounds: tuple[int, ...] = ()
    awaited: bool = True


@dataclass(frozen=True, slots=True)
class CredentialUser:
    """On whose behalf a credential is opened: a workflow, and who saved the version of it that runs."""

    project_id: str
    workflow_id: str
    author: str


class CredentialSource(Protocol):
    """Where credentials are opened for nodes, after asking whether they may have them."""

    async def open(self, user: CredentialUser, reference: str, kinds: tuple[str, ...]) -> OpenCredential:
        """Decrypt the credential with this name or id for one call.

        `kinds` are those that are taken; empty: every kind that signs HTTP requests. Raises CredentialNotFound,
        CredentialRefused, CredentialUnfit, CredentialUnreadable and EncryptionKeyMissing.
        """
        ...

    def forget(self, credential_id: str) -> None:
        """The next use of the credential reads it anew: it was changed or deleted here."""
        ...


class CredentialReceiver(Protocol):
    """Takes one credential from another process, once: it is sealed for this receiver alone."""

    @property
    def public_key(self) -> bytes: ...

    def open(self, sealed: bytes) -> OpenCredential:
        """The credential. Raises HandOverFailed for what was sealed for another, or for another purpose."""
        ...


class HandOver(Protocol):
    """How an opened credential gets to the process that needs it. Both sides must name the same purpose, `info`."""

    def receiver(self, info: bytes) -> CredentialReceiver: ...

    def seal(self, credential: OpenCredential, public_key: bytes, info: bytes) -> bytes: ...


class Link(Protocol):
    """What ties a run to its journal, wherever the run is: beside the store, or in a Ray actor far from it."""

    def append(self, *events: Event) -> None:
        """Add to the journal; durable at the next commit, and some milliseconds later in any case.

        Raises EventUnwritable, with nothing added, when the first event holds what JSON cannot.
        """
        ...

    async def commit(self) -> None:
        """Wait until all that was appended is durable. Raises ClaimLost when this runner may not write any more.

        A caller that is cancelled leaves the write alone.
        """
        ...

    def flush(self) -> None:
        """Begin to write what was appended, without waiting for it."""
        ...

    def call(self, call: ChildCall) -> None:
        """Ask for a child execution; its start is journaled, its end is delivered to the run."""
        ...

    def cancel_call(self, node: str, call: int, rounds: tuple[int, ...] = ()) -> None:
        """Ask for a child execution to be cancelled; its end is delivered all the same."""
        ...

    def reserve(self, ask: RateAsk) -> None:
        """Ask for room in a shared rate; when it is due is delivered to the run."""
        ...

    async def open_credential(self, node: str, slot: str) -> OpenCredential:
        """Decrypt what the node with this key has in a slot, for one call. Raises what CredentialSource does."""
        ...

    def idle(self, rest: Rest | None) -> None:
        """From now on nothing of the run computes, and it only waits for `rest`; None: something does again."""
        ...

    def snapshot(self, pack: Callable[[], bytes]) -> None:
        """Keep what all that was appended so far comes to, beside the journal, where that is possible.

        `pack` gives it as bytes (budflow.execution.saved_run), takes a while, and may be called in a thread.
        """
        ...


@dataclass(frozen=True, slots=True)
class Work:
    """One execution to be advanced from its events so far. `document` is the stored workflow, for who must compile.

    `static` is the static data of the workflow, by node key, where its nodes use any. With `saved`, of a snapshot,
    `events` are the first of the journal and those behind the snapshot. `surroundings` is what the server's settings
    let expressions read, as `$vars` and `$env`, by those names.
    """

    execution: Execution
    document: Mapping[str, Any]
    plan: Plan
    events: tuple[Event, ...]
    resume_url: str | None = None
    static: Mapping[str, Any] = field(default_factory=dict)
    saved: bytes | None = None
    surroundings: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: NOTHING_AROUND)

    @property
    def admitted(self) -> Admitted | None:
        """Its first event."""
        return next((event for event in self.events if isinstance(event, Admitted)), None)

    @property
    def pinned(self) -> bool:
        """Whether nodes give their pinned output instead of running."""
        return self.admitted is not None and self.admitted.pinned


class RunLetGo(BudflowError):
    """The execution was let go where it stands, for whoever takes it up again."""

    code = "execution.rests"
    http_status = 503
    hint = "Read the execution's status, or wait for it again."


class Running(Protocol):
    """An execution that is being advanced somewhere."""

    def deliver(self, event: Event) -> None:
        """Hand in what came from outside: the end of a child, a request to cancel."""
        ...

    async def wait(self) -> None:
        """Until it has ended (its last event is appended, not yet committed). Raises what broke the runner itself, or
        RunLetGo.

        A BudflowError leaves the execution unfinished, for another runner to go on with; ExecutionBroken, and what is
        no BudflowError at all, would only happen again. To be called once: cancelling it gives the work up.
        """
        ...

    def let_go(self) -> None:
        """Stop where it stands: nothing more is appended, and `wait` raises RunLetGo."""
        ...


class VersionSource(Protocol):
    """Where the documents of workflows come from."""

    async def get_workflow(self, project_id: str, workflow_id: str) -> WorkflowRecord | None: ...

    async def get_version(self, project_id: str, workflow_id: str, version: int) -> VersionRecord | None: ...


class Executor(Protocol):
    """A place where executions are advanced."""

    name: str

    def start(self, work: Work, link: Link) -> Running: ...

    def status(self) -> Mapping[str, Any]:
        """What it uses, for `budflow status`."""
        ...

    async def close(self) -> None: ...
