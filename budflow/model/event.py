"""The journal's events: append-only and versioned. The state of an execution is the fold of its events.

The stored form and its codec stand in budflow.model.journal. A change of shape raises `VERSION` and adds an upcaster
there; an event once written is never rewritten.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Literal

from budflow.model.execution import Mode, Parent, Place
from budflow.model.failure import Failure
from budflow.model.item import ItemList

EndStatus = Literal["succeeded", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class Admitted:
    """The execution exists: a trigger fired and `items` are what it brings in by the node `trigger`."""

    TYPE: ClassVar[str] = "execution.admitted"
    VERSION: ClassVar[int] = 1
    at: datetime
    trigger: str
    mode: Mode
    principal: str
    items: ItemList
    parent: Parent | None = None


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
    the journal needs no expression.
    """

    TYPE: ClassVar[str] = "node.started"
    VERSION: ClassVar[int] = 1
    at: datetime
    node: str
    items: int
    params: Mapping[str, Any] | None = None


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


@dataclass(frozen=True, slots=True)
class NodeFinished:
    """A node ran; `outputs` has every one of its ports, an empty list for those without items."""

    TYPE: ClassVar[str] = "node.finished"
    VERSION: ClassVar[int] = 1
    at: datetime
    node: str
    started_at: datetime
    outputs: Mapping[str, ItemList]
    tries: int = 1
    place: Place | None = None


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


@dataclass(frozen=True, slots=True)
class NodeCancelled:
    """A running node was stopped, because the execution is being cancelled or a sibling failed."""

    TYPE: ClassVar[str] = "node.cancelled"
    VERSION: ClassVar[int] = 1
    at: datetime
    node: str


@dataclass(frozen=True, slots=True)
class ResultIgnored:
    """A node's result came after the execution had stopped waiting for it."""

    TYPE: ClassVar[str] = "node.result_ignored"
    VERSION: ClassVar[int] = 1
    at: datetime
    node: str
    reason: str


@dataclass(frozen=True, slots=True)
class ChildStarted:
    """A node called another workflow: its execution was admitted in the same transaction."""

    TYPE: ClassVar[str] = "child.started"
    VERSION: ClassVar[int] = 1
    at: datetime
    node: str
    call: int
    execution_id: str
    workflow_id: str


@dataclass(frozen=True, slots=True)
class ChildFinished:
    """The called execution ended; `items` are its result where it succeeded."""

    TYPE: ClassVar[str] = "child.finished"
    VERSION: ClassVar[int] = 1
    at: datetime
    node: str
    call: int
    status: EndStatus
    items: ItemList
    failure: Failure | None = None


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
    | ItemsRetried
    | NodeFinished
    | NodeFailed
    | NodeCancelled
    | ResultIgnored
    | ChildStarted
    | ChildFinished
    | Responded
    | CancelRequested
    | Finished
)


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as it stands in a journal: `seq` counts from 0 without gaps."""

    seq: int
    type: str
    version: int
    at: datetime
    payload: bytes
