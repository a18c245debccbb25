"""What an execution writes beside and around its journal: one write, waits, signals, rests, keys and snapshots."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from budflow.model.credential import CredentialUse
from budflow.model.event import StoredEvent
from budflow.model.execution import Claim, Execution, Status, WaitReason
from budflow.model.failure import Failure

#: How long an idempotency key of a trigger is kept; an older one counts as unknown.
KEY_LIFE = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Signal:
    """Something that came from outside for an execution, stored until its journal has it: an event without a number.

    `key` says what it is for: `wait:ask[3]:0`, `child:call:0`, `pause`, `continue`. An execution has one signal a key.
    """

    execution_id: str
    key: str
    event: StoredEvent  # Its `seq` means nothing.


@dataclass(frozen=True, slots=True)
class OpenWait:
    """A wait that somebody may answer. `key` is the signal's; `until` None means that it never runs out.

    `ask` is what is shown to who answers; `answered` says that a signal is on its way.
    """

    execution_id: str
    project_id: str
    key: str
    node: str  # The node's path.
    reason: WaitReason
    opened_at: datetime
    until: datetime | None
    ask: Mapping[str, Any]
    answered: bool = False


@dataclass(frozen=True, slots=True)
class Rest:
    """An execution is given back: nothing of it computes. It may be claimed from `wake_at` on, or once signalled.

    `stopping`: it is being stopped already, so a wish to cancel it is no reason to take it up. `patient`: nothing that
    has come already is a reason to take it up before `wake_at`.
    """

    reason: WaitReason
    wake_at: datetime | None
    stopping: bool = False
    patient: bool = False


@dataclass(frozen=True, slots=True)
class TriggerKey:
    """An idempotency key of a trigger, kept for a day. `fingerprint` is a hash of the request it came with."""

    project_id: str
    key: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class ScheduleSlot:
    """The slot of a schedule, `node` of a workflow, that an execution is started for; no other is started for it.

    Where a `version` is named, the schedule must be armed with it, and the slot not be settled yet.
    """

    project_id: str
    workflow_id: str
    node: str
    slot: datetime
    version: int | None = None


#: What a trigger admits an execution for, and only one: a request with an idempotency key, or the slot of a schedule.
AdmissionKey = TriggerKey | ScheduleSlot


@dataclass(frozen=True, slots=True)
class Unbegun:
    """What is stored of an execution that never began: its journal so far, and the signals for it, the oldest first."""

    events: tuple[StoredEvent, ...]
    signals: tuple[Signal, ...]


@dataclass(frozen=True, slots=True)
class JournalWrite:
    """Everything one execution writes in one transaction: all of it or nothing.

    `admission` inserts the execution's own row, already leased to `claim.runner` with `claim.token`; without it the
    row must exist and still carry the claim's token. `events` follow the journal without a gap. `status` is the new
    status of the row, `failure` goes with `failed`; `finished_at` and `started_at` of the row are taken from the
    times of the `execution.finished` and `execution.started` events. `children` are inserted as they are, with their
    own first events.

    `trigger_key` goes with `admission`. `opened` waits are inserted, those of the keys in `closed` removed.
    `consumed` are the keys of this execution's signals that `events` journal: removed. `signals` are inserted for
    other executions, and wake those that wait. `rest` gives the execution back: status `waiting`, no runner, a higher
    token; with a signal left its `wake_at` is now. `static` replaces values of static data, None removes one; keys are
    a node's key, or "" for the workflow's own. `uses` go to the audit of credentials. The end of an
    execution removes its waits, signals and snapshots.
    """

    claim: Claim
    events: tuple[StoredEvent, ...]
    admission: Execution | None = None
    status: Status | None = None
    failure: Failure | None = None
    children: tuple[tuple[Execution, tuple[StoredEvent, ...]], ...] = ()
    trigger_key: AdmissionKey | None = None
    opened: tuple[OpenWait, ...] = ()
    closed: tuple[str, ...] = ()
    consumed: tuple[str, ...] = ()
    signals: tuple[Signal, ...] = ()
    rest: Rest | None = None
    static: Mapping[str, Any] = field(default_factory=dict)
    uses: tuple[CredentialUse, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the events before `seq` come to, so that they need not be read again; only this release reads it."""

    seq: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class RateAsk:
    """A node asks for room in a rate that executions share; answered by a Reserved event."""

    node: str
    ask: int
    key: str
    amount: int
    limit: int
    per_seconds: float
    rounds: tuple[int, ...] = ()
