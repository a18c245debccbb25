"""The journal's events about control nodes: their calls, waits, bodies and limits. budflow.model.event has them all."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Literal

from budflow.model.execution import EndStatus, WaitReason
from budflow.model.failure import Failure
from budflow.model.item import ItemList
from budflow.model.path import Rounds


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
    rounds: Rounds = ()


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
    rounds: Rounds = ()


@dataclass(frozen=True, slots=True)
class ParamsResolved:
    """A control node's parameters were evaluated again, because it asked for that with number `ask`.

    Where that failed with `failure` there are none: what is open of the node is stopped, and then it fails.
    """

    TYPE: ClassVar[str] = "node.params_resolved"
    VERSION: ClassVar[int] = 1
    at: datetime
    node: str
    ask: int
    params: Mapping[str, Any]
    rounds: Rounds = ()
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Reserved:
    """What a control node reserved with number `ask` may happen at `due`.

    Where that was refused with `failure` it may not: what is open of the node is stopped, and then it fails.
    """

    TYPE: ClassVar[str] = "node.reserved"
    VERSION: ClassVar[int] = 1
    at: datetime
    node: str
    ask: int
    due: datetime
    rounds: Rounds = ()
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class RoundsFinished:
    """Rounds of a body that only computes ran in one go: `first` and those behind it, one entry of `counts` each.

    `items` are what all of them gave, one round after the other, with the ordinals of the container's input items as
    lineage; a round in `failures` gave none.
    """

    TYPE: ClassVar[str] = "body.rounds_finished"
    VERSION: ClassVar[int] = 1
    at: datetime
    node: str
    body: str
    first: int
    counts: tuple[int, ...]
    items: ItemList
    failures: Mapping[int, Failure]
    rounds: Rounds = ()


@dataclass(frozen=True, slots=True)
class RoundsCollected:
    """What the rounds of a body from `first` up to `stop` gave was moved to blobs: many rounds give much.

    `outputs` has what came out of them (`gave`), the items that went into those that failed, with their error
    (`failed`), and where there is some of either, the two in the order of the rounds (`both`); the ordinals of the
    container's input items are the lineage. What is empty is left out.
    """

    TYPE: ClassVar[str] = "body.rounds_collected"
    VERSION: ClassVar[int] = 1
    at: datetime
    node: str
    body: str
    first: int
    stop: int
    outputs: Mapping[str, ItemList]
    rounds: Rounds = ()


@dataclass(frozen=True, slots=True)
class WaitStarted:
    """A node waits, as number `wait`, for a time, a request or a person; at `until` (None: never) the wait is over.

    `ask` is what is shown to who answers: a text, the fields of a form.
    """

    TYPE: ClassVar[str] = "wait.started"
    VERSION: ClassVar[int] = 1
    at: datetime
    node: str
    wait: int
    reason: WaitReason
    until: datetime | None
    ask: Mapping[str, Any]
    rounds: Rounds = ()


@dataclass(frozen=True, slots=True)
class WaitEnded:
    """The wait is over: its time `elapsed`, or somebody (`by`) answered it with `answer`."""

    TYPE: ClassVar[str] = "wait.ended"
    VERSION: ClassVar[int] = 1
    at: datetime
    node: str
    wait: int
    outcome: Literal["elapsed", "answered"]
    by: str | None = None
    answer: Any = None
    rounds: Rounds = ()


@dataclass(frozen=True, slots=True)
class TimeIsUp:
    """A control node has not ended within its `timeout_seconds`, or the last bodies that it runs when it is stopped
    have not within theirs (`cleanup`): what is open of it is stopped.
    """

    TYPE: ClassVar[str] = "node.time_is_up"
    VERSION: ClassVar[int] = 1
    at: datetime
    node: str
    failure: Failure
    cleanup: bool = False
    rounds: Rounds = ()
