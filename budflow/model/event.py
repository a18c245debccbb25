"""The journal's events: append-only and versioned. The state of an execution is the fold of its events.

`node` is a node's key and `rounds` say which run of it is meant: the round of each loop around it, from the outside
in; () for a node that no loop is around. `budflow.model.path` writes both as one text, such as `price[3][0]`.

The stored form and its codec stand in budflow.model.journal. A change of shape raises `VERSION` and adds an upcaster
there; an event once written is never rewritten.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from budflow.model.control_event import (
    ChildFinished as ChildFinished,
    ChildStarted as ChildStarted,
    ParamsResolved as ParamsResolved,
    Reserved as Reserved,
    RoundsCollected as RoundsCollected,
    RoundsFinished as RoundsFinished,
    TimeIsUp as TimeIsUp,
    WaitEnded as WaitEnded,
    WaitStarted as WaitStarted,
)
from budflow.model.execution import EndStatus as EndStatus, Mode, Origin, Parent, Place
from budflow.model.failure import Failure
from budflow.model.item import BlobRef, ItemList
from budflow.model.log import LogLine
from budflow.model.log_event import NodeLogged as NodeLogged
from budflow.model.path import Rounds as Rounds


@dataclass(frozen=True, slots=True)
class Admitted:
    """The execution exists: a trigger fired and `items` are what it brings in by the node `trigger`.

    With `pinned`, nodes give their pinned output instead of running. `until` is the key of the node at which a
    partial run ends. `origin` is set where the execution repeats another. `callers` are the workflows that called it,
    from the outside in. `credentials` are the ids of those that the trigger's door has used, by slot.
    """

    TYPE: ClassVar[str] = "execution.admitted"
    VERSION: ClassVar[int] = 1
    at: datetime
    trigger: str
    mode: Mode
    principal: str
    items: ItemList
    parent: Parent | None = None
    pinned: bool = False
    until: str | None = None
    origin: Origin | None = None
    callers: tuple[str, ...] = ()
    credentials: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_test(self) -> bool:
        """Whether something is only tried out: with pinned data, or up to a node."""
        return self.pinned or self.until is not None


@dataclass(frozen=True, slots=True)
class Started:
    """A runner took the execution up; `place` holds for every node that names no other."""

    TYPE: ClassVar[str] = "execution.started"
    VERSION: ClassVar[int] = 1
    at: datetime
    runner: str
    place: Place


@dataclass(frozen=True, slots=True)
class NodeStarted:
    """A node with an outside effect, or a control node, is about to run; written before the effect happens.

    `params` are a control node's evaluated parameters and `items` the number of its items: with them the fold of
    the journal needs no expression. Of a node with an effect the first `begun` items are about to be worked on. A loop
    of which one round is run again begins with those that are kept: of `postponed` the first begins after the second.
    """

    TYPE: ClassVar[str] = "node.started"
    VERSION: ClassVar[int] = 1
    at: datetime
    node: str
    items: int
    params: Mapping[str, Any] | None = None
    rounds: Rounds = ()
    begun: int = 0
    postponed: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class CredentialsUsed:
    """A node has been given credentials: their ids by slot. Written before it can send them anywhere."""

    TYPE: ClassVar[str] = "credentials.used"
    VERSION: ClassVar[int] = 1
    at: datetime
    node: str
    credentials: Mapping[str, str]
    rounds: Rounds = ()


@dataclass(frozen=True, slots=True)
class ItemsStarted:
    """More items of a node with the effect `once` are about to be worked on: from now on the first `begun`."""

    TYPE: ClassVar[str] = "node.items_started"
    VERSION: ClassVar[int] = 1
    at: datetime
    node: str
    begun: int
    rounds: Rounds = ()


@dataclass(frozen=True, slots=True)
class ItemsFinished:
    """Some items of a node with an effect are done and never worked on again.

    `items` came of them, with the ordinals of the input items as lineage; `ordinals` are those that are done.
    """

    TYPE: ClassVar[str] = "node.items_finished"
    VERSION: ClassVar[int] = 1
    at: datetime
    node: str
    ordinals: tuple[int, ...]
    items: ItemList
    rounds: Rounds = ()


@dataclass(frozen=True, slots=True)
class ItemsRetried:
    """Some items of a node failed and will be tried again after `delay_seconds`; `tries` counts those already made."""

    TYPE: ClassVar[str] = "node.items_retried"
    VERSION: ClassVar[int] = 1
    at: datetime
    node: str
    tries: int
    failed: int
    delay_seconds: float
    failure: Failure
    rounds: Rounds = ()


@dataclass(frozen=True, slots=True)
class NodeFinished:
    """A node ran; `outputs` has every one of its ports, an empty list for those without items.

    `static` is the static data that it changed, by node key ("" for the workflow's), committed with this event. `log`
    are the lines that it logged and that no `node.logged` has.
    """

    TYPE: ClassVar[str] = "node.finished"
    VERSION: ClassVar[int] = 1
    at: datetime
    node: str
    started_at: datetime
    outputs: Mapping[str, ItemList]
    tries: int = 1
    place: Place | None = None
    rounds: Rounds = ()
    static: Mapping[str, Any] | None = None
    log: tuple[LogLine, ...] = ()


@dataclass(frozen=True, slots=True)
class NodeFailed:
    """A node failed for good, after its retries, with `on_error` `stop`."""

    TYPE: ClassVar[str] = "node.failed"
    VERSION: ClassVar[int] = 1
    at: datetime
    node: str
    started_at: datetime
    failure: Failure
    tries: int = 1
    place: Place | None = None
    rounds: Rounds = ()
    log: tuple[LogLine, ...] = ()


@dataclass(frozen=True, slots=True)
class NodeCancelled:
    """A running node was stopped, because the execution is being cancelled or a sibling failed."""

    TYPE: ClassVar[str] = "node.cancelled"
    VERSION: ClassVar[int] = 1
    at: datetime
    node: str
    rounds: Rounds = ()
    log: tuple[LogLine, ...] = ()


@dataclass(frozen=True, slots=True)
class ResultIgnored:
    """A node's result, or the `signal` with this key, came after the execution had stopped waiting for it."""

    TYPE: ClassVar[str] = "node.result_ignored"
    VERSION: ClassVar[int] = 1
    at: datetime
    node: str
    reason: str
    rounds: Rounds = ()
    signal: str | None = None


@dataclass(frozen=True, slots=True)
class Paused:
    """Somebody asked for the execution to start no more nodes; those that run go on to their end."""

    TYPE: ClassVar[str] = "execution.paused"
    VERSION: ClassVar[int] = 1
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class Continued:
    """Somebody asked for a paused execution to go on."""

    TYPE: ClassVar[str] = "execution.continued"
    VERSION: ClassVar[int] = 1
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class Responded:
    """The workflow answered the request that triggered it; only the first answer counts."""

    TYPE: ClassVar[str] = "execution.responded"
    VERSION: ClassVar[int] = 1
    at: datetime
    node: str
    status_code: int
    headers: Mapping[str, str]
    body: Any


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """Somebody asked for the execution to be cancelled, or its time was up: then it ends as failed with `failure`."""

    TYPE: ClassVar[str] = "execution.cancel_requested"
    VERSION: ClassVar[int] = 1
    at: datetime
    by: str
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """The end: nothing is appended after this event."""

    TYPE: ClassVar[str] = "execution.finished"
    VERSION: ClassVar[int] = 1
    at: datetime
    status: EndStatus
    failure: Failure | None = None


Event = (
    Admitted
    | Started
    | NodeStarted
    | CredentialsUsed
    | ItemsStarted
    | ItemsFinished
    | ItemsRetried
    | NodeLogged
    | NodeFinished
    | NodeFailed
    | NodeCancelled
    | ResultIgnored
    | ChildStarted
    | ChildFinished
    | ParamsResolved
    | Reserved
    | RoundsFinished
    | RoundsCollected
    | WaitStarted
    | WaitEnded
    | TimeIsUp
    | Paused
    | Continued
    | Responded
    | CancelRequested
    | Finished
)


#: The types of events that a runner may write without getting any further.
NO_PROGRESS = (Started.TYPE, NodeLogged.TYPE)


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as it stands in a journal: `seq` counts from 0 without gaps.

    `blobs` are those that `payload` refers to, to be kept with it; they are known of an event that is written.
    """

    seq: int
    type: str
    version: int
    at: datetime
    payload: bytes
    blobs: tuple[BlobRef, ...] = ()
