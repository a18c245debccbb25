"""Which of a group of journal writes may be written, and what that changes: decided here, without a database.

An adapter locks the rows that `ids_of` names, gives what is known of them to `settle` and writes what comes back, all
in one transaction. Deciding before writing is what lets one write of a group fail alone, with nothing to undo.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, NamedTuple

from budflow.errors import BudflowError
from budflow.execution.records import AdmissionKey, JournalWrite, ScheduleSlot
from budflow.execution.signal import signal_of
from budflow.model.credential import CredentialUse
from budflow.model.event import CancelRequested, Finished, Started, StoredEvent
from budflow.model.execution import TERMINAL, Claim, ClaimLost, Execution, Status
from budflow.model.failure import Failure
from budflow.model.journal import encode
from budflow.storage.admission import check_key, displaced_by
from budflow.storage.attachments import Attachments, has_attachments, static_texts
from budflow.storage.credential_rows import refuse_unstorable_use, use_values
from budflow.storage.errors import WriteConflict
from budflow.storage.payload import Pack
from budflow.storage.rows import failure_text, refuse_unstorable, to_micros
from budflow.storage.writes import Admission, Head, Known, KnownKey, SlotName, Write, slot_name


@dataclass(frozen=True, slots=True)
class Change:
    """What a group changes of one row; None leaves the column, and `started_at` only replaces None."""

    status: Status | None = None
    failure: Failure | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None

    def then(self, later: "Change") -> "Change":
        """Both, as one."""
        return Change(
            later.status or self.status,
            later.failure or self.failure,
            self.started_at or later.started_at,
            later.finished_at or self.finished_at,
        )

    def on(self, execution: Execution, claim: Claim | None = None) -> Execution:
        """The row after the change, leased to the claim where there is one; the end clears `cancelling`."""
        status = self.status or execution.status
        return replace(
            execution,
            # Admitted by the runner that will advance it, so never queued: nobody else may claim it.
            status="running" if claim is not None and status == "queued" else status,
            runner=execution.runner if claim is None else claim.runner,
            token=execution.token if claim is None else claim.token,
            failure=self.failure or execution.failure,
            started_at=execution.started_at or self.started_at,
            finished_at=self.finished_at or execution.finished_at,
            cancelling=execution.cancelling and status not in TERMINAL,
        )


_NO_CHANGE = Change()


class FiredBy(NamedTuple):
    """The execution that a slot of a schedule started."""

    project_id: str
    execution_id: str


@dataclass(slots=True)
class Settled:
    """What a group writes, in this order; `outcomes[i]` is why write `i` is not part of it, or None."""

    outcomes: list[BudflowError | None] = field(default_factory=list)
    inserted: list[Execution] = field(default_factory=list)
    changed: dict[str, Change] = field(default_factory=dict)
    events: list[tuple[str, str, StoredEvent]] = field(default_factory=list)  # (execution id, project id, event)
    expired: dict[tuple[str, str], KnownKey] = field(default_factory=dict)  # Stored now; `keys` replace them.
    keys: dict[tuple[str, str], KnownKey] = field(default_factory=dict)
    slots: dict[SlotName, FiredBy] = field(default_factory=dict)
    uses: list[CredentialUse] = field(default_factory=list)
    attachments: Attachments = field(default_factory=Attachments)

    def with_blobs(self) -> Iterator[tuple[str, str, StoredEvent]]:
        """The events and signals that refer to blobs, each with its execution's id and project."""
        for one in self.events:
            if one[2].blobs:
                yield one
        for execution_id, sent in self.attachments.signals.items():
            for project_id, event in sent.values():
                if event.blobs:
                    yield execution_id, project_id, event

    def change(self, execution_id: str, change: Change) -> None:
        """Change a row beyond what the group has changed of it so far."""
        if change != _NO_CHANGE:
            self.changed[execution_id] = self.changed.get(execution_id, _NO_CHANGE).then(change)


def settle(writes: Sequence[Write], known: Known) -> Settled:
    """Decide each write on what is stored and what the writes before it do; `known` is brought up to date."""
    settled = Settled()
    for write in writes:
        try:
            if isinstance(write, Admission):
                _admit(settled, known, write)
            else:
                _journal(settled, known, write)
        except BudflowError as refusal:
            settled.outcomes.append(refusal)
        else:
            settled.outcomes.append(None)
    return settled


def change_values(settled: Settled) -> list[tuple[Any, ...]]:
    """A row a change: id, status, failure, started_at, finished_at, whether it has ended; None leaves the column."""
    return [
        (
            execution_id,
            change.status,
            failure_text(change.failure),
            None if change.started_at is None else to_micros(change.started_at),
            None if change.finished_at is None else to_micros(change.finished_at),
            change.status in TERMINAL,
        )
        for execution_id, change in settled.changed.items()
    ]


def event_values(settled: Settled, pack: Pack) -> list[tuple[Any, ...]]:
    """The rows of the events, in the order of the table's columns."""
    return [
        (execution_id, event.seq, project_id, event.type, event.version, to_micros(event.at), *pack(event.payload))
        for execution_id, project_id, event in settled.events
    ]


def credential_use_values(settled: Settled) -> list[tuple[Any, ...]]:
    """The rows of the uses of credentials, in the order of the table's columns behind its `id`."""
    return [use_values(use) for use in settled.uses]


def _admit(settled: Settled, known: Known, write: Admission) -> None:
    new, key = write.execution, write.trigger_key
    for use in write.uses:
        refuse_unstorable_use(use)
    if key is not None:
        check_key(known, key, new.created_at)
    _check_new(known, [(new, write.events)])
    for id_, awaited in displaced_by(known, new):
        _displace(settled, known, id_, awaited=awaited, new=new)
    _insert(settled, known, [(new, write.events)])
    if key is not None:
        _keep_key(settled, known, key, new)
    settled.uses.extend(write.uses)


def _journal(settled: Settled, known: Known, write: JournalWrite) -> None:
    attaches = has_attachments(write)
    static = static_texts(write) if attaches else {}  # Before anything is changed: it refuses what is no text.
    for use in write.uses:
        refuse_unstorable_use(use)
    if write.admission is None:
        _append(settled, known, write)
    else:
        _admit_leased(settled, known, write, write.admission)
    if write.uses:
        settled.uses.extend(write.uses)
    if attaches:
        settled.attachments.add(known, write, static)
    if write.status in TERMINAL:
        settled.attachments.end(known, write.claim.execution_id)


def _append(settled: Settled, known: Known, write: JournalWrite) -> None:
    claim, change = write.claim, _change_of(write)
    head = known.heads.get(claim.execution_id)
    if head is None:
        raise WriteConflict("The execution is not stored.", execution_id=claim.execution_id)
    if head.token != claim.token or head.ended:
        raise ClaimLost(execution_id=claim.execution_id)
    _check_sequence(claim.execution_id, write.events, head.next_seq)
    _check_new(known, write.children)
    _insert(settled, known, write.children)
    known.heads[claim.execution_id] = replace(
        head, status=write.status or head.status, next_seq=head.next_seq + len(write.events)
    )
    settled.change(claim.execution_id, change)
    settled.events.extend((claim.execution_id, head.project_id, event) for event in write.events)


def _admit_leased(settled: Settled, known: Known, write: JournalWrite, admission: Execution) -> None:
    if write.trigger_key is not None:
        check_key(known, write.trigger_key, admission.created_at)
    news = [(_change_of(write).on(admission, write.claim), write.events), *write.children]
    _check_new(known, news)
    _insert(settled, known, news)
    if write.trigger_key is not None:
        _keep_key(settled, known, write.trigger_key, admission)


def _displace(settled: Settled, known: Known, id_: str, *, awaited: bool, new: Execution) -> None:
    head, at = known.heads[id_], new.created_at
    asked = CancelRequested(at, f"cancel_oldest:{new.id}")
    # An awaited child is ended by who claims it, and tells its caller; ended here, the caller would wait for ever.
    # So is one that was claimed before: it may have called others, and has things to tidy up.
    if head.status != "queued" or head.token > 0 or awaited:
        settled.attachments.flag(known, id_)
        settled.attachments.send(known, signal_of(id_, asked))
        return
    told = [encode(head.next_seq, asked), encode(head.next_seq + 1, Finished(at, "cancelled"))]
    settled.events.extend((id_, head.project_id, event) for event in told)
    settled.change(id_, Change(status="cancelled", finished_at=at))
    known.heads[id_] = replace(head, status="cancelled", next_seq=head.next_seq + len(told))
    settled.attachments.end(known, id_)


def _keep_key(settled: Settled, known: Known, key: AdmissionKey, execution: Execution) -> None:
    if isinstance(key, ScheduleSlot):
        known.slots[slot_name(key)] = execution.id
        settled.slots[slot_name(key)] = FiredBy(key.project_id, execution.id)
        return
    name = (key.project_id, key.key)
    if name in known.keys and name not in settled.keys:
        settled.expired[name] = known.keys[name]
    known.keys[name] = settled.keys[name] = KnownKey(key.fingerprint, execution.id, execution.created_at)


def _check_new(known: Known, news: Sequence[tuple[Execution, tuple[StoredEvent, ...]]]) -> None:
    seen: set[str] = set()
    for execution, events in news:
        if execution.id in known.heads or execution.id in seen:
            raise WriteConflict("An execution with this id is stored already.", execution_id=execution.id)
        seen.add(execution.id)
        if execution.limit is not None:
            refuse_unstorable(limit_key=execution.limit.key)
        _check_sequence(execution.id, events, 0)


def _insert(settled: Settled, known: Known, news: Sequence[tuple[Execution, tuple[StoredEvent, ...]]]) -> None:
    for execution, events in news:
        known.heads[execution.id] = Head(execution.project_id, execution.status, execution.token, len(events))
        if execution.limit is not None:
            parent = execution.parent
            awaited = parent is not None and parent.awaited
            known.groups.setdefault(execution.limit.key, {})[execution.id] = awaited
        settled.inserted.append(execution)
        settled.events.extend((execution.id, execution.project_id, event) for event in events)


def _check_sequence(execution_id: str, events: Sequence[StoredEvent], first: int) -> None:
    if any(event.seq != first + i for i, event in enumerate(events)):
        raise WriteConflict(
            f"The events do not follow the journal: its next seq is {first}.", execution_id=execution_id, next_seq=first
        )


def _change_of(write: JournalWrite) -> Change:
    started_at = finished_at = None
    for event in write.events:
        if event.type == Started.TYPE:
            started_at = started_at or event.at
        elif event.type == Finished.TYPE:
            finished_at = event.at
    return Change(write.status, write.failure, started_at, finished_at)
