"""Which of a group of journal writes may be written, and what that changes: decided here, without a database.

An adapter locks the rows that `ids_of` names, gives their heads to `settle` and writes what comes back, all in one
transaction. Deciding before writing is what lets one write of a group fail alone, with nothing to undo.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from budflow.errors import BudflowError
from budflow.execution.ports import JournalWrite
from budflow.model.event import Finished, Started, StoredEvent
from budflow.model.execution import TERMINAL, ClaimLost, Execution, Status
from budflow.model.failure import Failure
from budflow.storage.errors import WriteConflict
from budflow.storage.payload import Pack
from budflow.storage.rows import failure_text, to_micros


@dataclass(frozen=True, slots=True)
class Admission:
    """A queued execution with its first events."""

    execution: Execution
    events: tuple[StoredEvent, ...]


Write = JournalWrite | Admission


@dataclass(frozen=True, slots=True)
class Head:
    """What must be known of a stored execution to write to its journal; `next_seq` is its next event's."""

    project_id: str
    status: str
    token: int
    next_seq: int


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

    def on(self, execution: Execution) -> Execution:
        """The row after the change; the end clears `cancelling`."""
        status = self.status or execution.status
        return replace(
            execution,
            status=status,
            failure=self.failure or execution.failure,
            started_at=execution.started_at or self.started_at,
            finished_at=self.finished_at or execution.finished_at,
            cancelling=execution.cancelling and status not in TERMINAL,
        )


_NO_CHANGE = Change()


@dataclass(slots=True)
class Settled:
    """What a group writes, in this order; `outcomes[i]` is why write `i` is not part of it, or None."""

    outcomes: list[BudflowError | None] = field(default_factory=list)
    inserted: list[Execution] = field(default_factory=list)
    changed: dict[str, Change] = field(default_factory=dict)
    events: list[tuple[str, str, StoredEvent]] = field(default_factory=list)  # (execution id, project id, event)


def ids_of(writes: Sequence[Write]) -> Iterator[str]:
    """Every execution that the writes touch or insert."""
    for write in writes:
        if isinstance(write, Admission):
            yield write.execution.id
        else:
            yield write.claim.execution_id
            for child, _ in write.children:
                yield child.id


def settle(writes: Sequence[Write], heads: dict[str, Head]) -> Settled:
    """Decide each write on what is stored and what the writes before it do; `heads` is brought up to date."""
    settled = Settled()
    for write in writes:
        try:
            if isinstance(write, Admission):
                _insert(settled, heads, [(write.execution, write.events)])
            else:
                _journal(settled, heads, write)
        except (ClaimLost, WriteConflict) as refusal:
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


def _journal(settled: Settled, heads: dict[str, Head], write: JournalWrite) -> None:
    claim, change = write.claim, _change_of(write)
    if write.admission is not None:
        # Admitted by the runner that will advance it, so never queued: nobody else may claim it.
        leased = replace(
            write.admission,
            runner=claim.runner,
            token=claim.token,
            status="running" if write.admission.status == "queued" else write.admission.status,
        )
        _insert(settled, heads, [(change.on(leased), write.events), *write.children])
        return
    head = heads.get(claim.execution_id)
    if head is None:
        raise WriteConflict("The execution is not stored.", execution_id=claim.execution_id)
    if head.token != claim.token or head.status in TERMINAL:
        raise ClaimLost(execution_id=claim.execution_id)
    _check_sequence(claim.execution_id, write.events, head.next_seq)
    _insert(settled, heads, write.children)
    heads[claim.execution_id] = replace(
        head, status=write.status or head.status, next_seq=head.next_seq + len(write.events)
    )
    if change != _NO_CHANGE:
        settled.changed[claim.execution_id] = settled.changed.get(claim.execution_id, _NO_CHANGE).then(change)
    settled.events.extend((claim.execution_id, head.project_id, event) for event in write.events)


def _insert(
    settled: Settled, heads: dict[str, Head], news: Sequence[tuple[Execution, tuple[StoredEvent, ...]]]
) -> None:
    seen: set[str] = set()
    for execution, events in news:
        if execution.id in heads or execution.id in seen:
            raise WriteConflict("An execution with this id is stored already.", execution_id=execution.id)
        seen.add(execution.id)
        _check_sequence(execution.id, events, 0)
    for execution, events in news:
        heads[execution.id] = Head(execution.project_id, execution.status, execution.token, len(events))
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
