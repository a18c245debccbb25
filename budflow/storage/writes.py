"""What an adapter is asked to write in one group, and what of the stored it must know to decide that."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from budflow.execution.records import AdmissionKey, JournalWrite, ScheduleSlot, TriggerKey
from budflow.model.credential import CredentialUse
from budflow.model.event import StoredEvent
from budflow.model.execution import TERMINAL, Execution, Limit
from budflow.storage.rows import is_storable, to_micros


@dataclass(frozen=True, slots=True)
class Admission:
    """A queued execution with its first events, the idempotency key or the slot that it came with, and the uses of
    credentials by which it came in.
    """

    execution: Execution
    events: tuple[StoredEvent, ...]
    trigger_key: AdmissionKey | None = None
    uses: tuple[CredentialUse, ...] = ()


Write = JournalWrite | Admission
#: A slot of a schedule: workflow, node, and its microseconds since 1970.
SlotName = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class Head:
    """What must be known of a stored execution to write to its journal; `next_seq` is its next event's.

    `attached` says that it has waits, signals or a snapshot, which its end removes.
    """

    project_id: str
    status: str
    token: int
    next_seq: int
    cancelling: bool = False
    attached: bool = False

    @property
    def ended(self) -> bool:
        """Whether nothing may be written any more."""
        return self.status in TERMINAL


@dataclass(frozen=True, slots=True)
class KnownKey:
    """The request that an idempotency key came with."""

    fingerprint: str
    execution_id: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class KnownSchedule:
    """With which version a schedule is armed, and up to when its slots are settled, in microseconds since 1970."""

    version: int
    settled_until: int


@dataclass(slots=True)
class Known:
    """What is stored, and after each decided write what will be; asked for only where a write of the group needs it.

    `keys` are by project and key. `groups` have, by `limit_key`, the live executions, the oldest first, and whether a
    caller awaits each; `heads` has them too where the policy is `cancel_oldest`. `signals` has the keys of the signals
    of those executions that rest. `slots` have the execution that each has started; `schedules` are by workflow and
    node.
    """

    heads: dict[str, Head] = field(default_factory=dict)
    keys: dict[tuple[str, str], KnownKey] = field(default_factory=dict)
    groups: dict[str, dict[str, bool]] = field(default_factory=dict)
    signals: dict[str, set[str]] = field(default_factory=dict)
    slots: dict[SlotName, str] = field(default_factory=dict)
    schedules: dict[tuple[str, str], KnownSchedule] = field(default_factory=dict)


def ids_of(writes: Sequence[Write]) -> Iterator[str]:
    """Every execution that the writes touch or insert."""
    for write in writes:
        if isinstance(write, Admission):
            yield write.execution.id
        else:
            yield write.claim.execution_id
            for child, _ in write.children:
                yield child.id
            for signal in write.signals:
                yield signal.execution_id


def stored_ids_of(writes: Sequence[Write]) -> Iterator[str]:
    """Those of them to be looked up. What is only inserted is not: the table's key refuses an id that is taken."""
    for write in writes:
        if isinstance(write, JournalWrite):
            if write.admission is None:
                yield write.claim.execution_id
            for signal in write.signals:
                yield signal.execution_id


def trigger_keys_of(writes: Sequence[Write]) -> set[tuple[str, str]]:
    """The idempotency keys of the writes, each with its project, to be looked up: those that can be stored."""
    keys = (write.trigger_key for write in writes)
    return {(key.project_id, key.key) for key in keys if isinstance(key, TriggerKey) and is_storable(key.key)}


def slots_of(writes: Sequence[Write]) -> set[SlotName]:
    """The slots of schedules that the writes start executions for, to be looked up."""
    keys = (write.trigger_key for write in writes)
    return {slot_name(key) for key in keys if isinstance(key, ScheduleSlot)}


def slot_name(slot: ScheduleSlot) -> SlotName:
    """What the table of slots knows it by."""
    return slot.workflow_id, slot.node, to_micros(slot.slot)


def limits_of(writes: Sequence[Write]) -> list[Limit]:
    """The limits that admissions of the group may run into, with keys that can be stored."""
    limits = (write.execution.limit for write in writes if isinstance(write, Admission))
    return [limit for limit in limits if limit is not None and limit.policy != "queue" and is_storable(limit.key)]


def resting_of(writes: Sequence[Write]) -> list[str]:
    """The executions that are given back."""
    return [write.claim.execution_id for write in writes if isinstance(write, JournalWrite) and write.rest is not None]


def payloads_of(write: Write) -> Iterator[bytes]:
    """The payloads to store, apart from those of children."""
    for event in write.events:
        yield event.payload
    if isinstance(write, JournalWrite):
        for signal in write.signals:
            yield signal.event.payload
