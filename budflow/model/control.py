"""What a control node and the engine say to each other: the function is told what happened and says what to do next.

A control node decides and does no work of its own: it may run its bodies (inner graphs), call other workflows, wait,
answer, and say which items leave by which port.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, Literal, Protocol, TypeVar

from budflow.model.execution import WaitReason
from budflow.model.failure import Failure

P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class Begin(Generic[P]):
    """The node is reached by `items` items; `params` were evaluated with the first.

    `bodies` are the names of its bodies in document order; those in `light` only compute, so that many rounds of them
    may run in one go. Of `postponed` the first round is to begin only after the second one: it is run again, and those
    up to the second are known. A loop whose rounds build on each other takes no notice of that.
    """

    params: P
    items: int
    bodies: tuple[str, ...] = ()
    light: frozenset[str] = frozenset()
    postponed: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class BodyEnded:
    """A round of a body has ended: `items` reached its `$out`, or it failed. A stopped one has no items either."""

    body: str
    round: int
    items: int
    failure: Failure | None = None
    stopped: bool = False


@dataclass(frozen=True, slots=True)
class CallEnded:
    """The workflow called as number `call` has ended; `failure` is None where it succeeded."""

    call: int
    failure: Failure | None


@dataclass(frozen=True, slots=True)
class WaitOver:
    """The wait with this number is over: its time `elapsed`, or it was `answered`."""

    wait: int
    outcome: Literal["elapsed", "answered"]
    answer: Any = None


@dataclass(frozen=True, slots=True)
class Resolved(Generic[P]):
    """The parameters, evaluated again for the ask with this number."""

    ask: int
    params: P


@dataclass(frozen=True, slots=True)
class Reserved:
    """The reservation for the ask with this number: what was reserved may happen in `seconds`, or now where it is 0."""

    ask: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Stopped:
    """The node is being cancelled, or its time was up, and all that it had open has ended.

    It may run one of its last bodies (`Bodies.last`) now, such as a `finally`; then, or without one, it is over.
    """


ControlEvent = Begin[Any] | BodyEnded | CallEnded | WaitOver | Resolved[Any] | Reserved | Stopped


@dataclass(frozen=True, slots=True)
class FromInputs:
    """The node's items: those that reached it, or those that its `feed` parameter gave."""


@dataclass(frozen=True, slots=True)
class FromItems:
    """A part of the node's items: from `start` up to `stop`."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class FromCall:
    """The result items of the call with this number."""

    call: int


@dataclass(frozen=True, slots=True)
class FromCalls:
    """The result items of all calls, in the order of their numbers."""


@dataclass(frozen=True, slots=True)
class FromBody:
    """What reached `$out` in one round of a body."""

    body: str
    round: int = 0


@dataclass(frozen=True, slots=True)
class FromBodies:
    """What reached `$out` in these bodies, each run once, one after the other."""

    bodies: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FromRounds:
    """What reached `$out` in all rounds of a body, in the order of the rounds.

    With `failed` the items that went into failed rounds stand in their place, with their error set.
    """

    body: str
    failed: bool = False


@dataclass(frozen=True, slots=True)
class FromFailedRounds:
    """The items that went into the failed rounds of a body, with their error set."""

    body: str


@dataclass(frozen=True, slots=True)
class FromFailure:
    """The node's items, each with this failure as its error; where there are none, one empty item with it."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class FromAnswer:
    """The node's items, each with the answer to a wait in its field `field`; where there are none, one new item."""

    wait: int
    field: str


ItemsFrom = (
    FromInputs
    | FromItems
    | FromCall
    | FromCalls
    | FromBody
    | FromBodies
    | FromRounds
    | FromFailedRounds
    | FromFailure
    | FromAnswer
)


@dataclass(frozen=True, slots=True)
class StartBody:
    """Run a body with these items, as this round; answered by BodyEnded. A body without a loop has only round 0."""

    body: str
    source: ItemsFrom
    round: int = 0


@dataclass(frozen=True, slots=True)
class StopBody:
    """Stop a round that is open: answered by BodyEnded with `stopped` when what runs in it has ended."""

    body: str
    round: int = 0


@dataclass(frozen=True, slots=True)
class CallWorkflow:
    """Run another workflow with these items; answered by CallEnded with the same number, where it is `awaited`.

    One that is not, and cannot be made at all, lets the node fail though it has decided to settle.
    """

    call: int
    workflow_id: str
    version: int | None
    source: ItemsFrom = FromInputs()
    awaited: bool = True


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait, as this number, until a time or until somebody answers; answered by WaitOver.

    `seconds` count from now, `until` is a date; without either only an answer ends it. `ask` is shown to who answers.
    """

    wait: int
    reason: WaitReason
    seconds: float | None = None
    until: datetime | None = None
    ask: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Resolve:
    """Evaluate the parameters again, with the first of these items; answered by Resolved with the same number."""

    ask: int
    source: ItemsFrom


@dataclass(frozen=True, slots=True)
class Reserve:
    """Reserve `amount` of what happens at most `limit` times in `per_seconds`, in all executions of the project that
    use the same key; answered by Reserved with the same number.
    """

    ask: int
    key: str
    amount: int
    limit: int
    per_seconds: float


@dataclass(frozen=True, slots=True)
class Respond:
    """Answer the request that triggered the execution."""

    status_code: int
    headers: Mapping[str, str]
    body: Any


@dataclass(frozen=True, slots=True)
class Settle:
    """The node is done; a port that is not named stays empty. Nothing of it may be open."""

    outputs: Mapping[str, ItemsFrom]


@dataclass(frozen=True, slots=True)
class Fail:
    """The node failed; what it has open is stopped, then follows its `on_error`."""

    failure: Failure


ControlCommand = StartBody | StopBody | CallWorkflow | Wait | Resolve | Reserve | Respond | Settle | Fail
ControlState = Mapping[str, Any] | None


class ControlFunction(Protocol):
    """Pure: the same state and event give the same commands. The state is small JSON, None at the beginning.

    Small means that it does not grow with the items or the rounds: it is copied with every event.
    """

    def __call__(self, state: ControlState, event: ControlEvent) -> tuple[ControlState, Sequence[ControlCommand]]: ...


@dataclass(frozen=True, slots=True)
class Bodies:
    """The inner graphs that a container takes: those named here, or any (`named_by_author`, at least one).

    Those in `last` tidy up: one that has begun is finished although the container is being stopped, as long as that
    takes no longer than the time limit for it. Each round of a body in `loops` adds its number to the paths of the
    nodes inside. `at_least` says how many of those named by the author raw, perhaps faulty parameters ask for.
    """

    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    last: tuple[str, ...] = ()
    named_by_author: bool = False
    loops: bool = False
    at_least: Callable[[Mapping[str, Any]], int] | None = None


NO_BODIES = Bodies()
