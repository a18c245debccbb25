"""The state of an execution, in the size of its open work, and the commands by which the core says what is next."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from immutables import Map

from budflow.model.control import ControlState, ItemsFrom
from budflow.model.event import EndStatus
from budflow.model.execution import WaitReason
from budflow.model.failure import Failure

Phase = Literal["new", "running", "ended"]
NOTHING: Mapping[Any, Any] = MappingProxyType({})


class At(NamedTuple):
    """A run of a node: its number, and the round of each loop around it."""

    node: int
    rounds: tuple[int, ...] = ()


class FrameId(NamedTuple):
    """A run of a graph: its number, and the round of each loop around it, its own included."""

    graph: int = 0
    rounds: tuple[int, ...] = ()


ROOT = FrameId()


class Tally(NamedTuple):
    """A node of which some edges have settled: how many are open, and what the settled ones brought."""

    open: int
    delivered: bool = False
    empty: bool = False


class Frame(NamedTuple):
    """A run of a graph that is not over; a tuple, since one is made for every event.

    `unsettled` counts the nodes that neither ran nor were skipped; at 0 the frame is over. While it is `stopping`
    nothing new starts in it, and it is over with the last running node; `failure` is why, None where it was stopped
    from outside. `out` items have reached `$out`.
    """

    unsettled: int
    tallies: Mapping[int, Tally] = NOTHING
    running: frozenset[int] = frozenset()
    out: int = 0
    stopping: bool = False
    failure: Failure | None = None

    @property
    def over(self) -> bool:
        """Whether nothing of it is open any more."""
        return not self.running and (self.stopping or self.unsettled == 0)


class Stop(NamedTuple):
    """A control node is being stopped: with `failure` it then failed, else it was cancelled.

    `told`: its function had its last word, and what it still opens is waited for and nothing more. While its last
    bodies run, their time counts `since` then.
    """

    failure: Failure | None
    told: bool
    since: datetime | None = None


class Control(NamedTuple):
    """A control node that has begun. `asks` are the commands that it waits for the answer of, by kind and number.

    `items` is the number of its items; `ended` the last round of each body that is over, with its number of items.
    """

    items: int
    inner: ControlState = None
    frames: int = 0
    asks: Mapping[tuple[str, int], "Command"] = NOTHING
    ended: Mapping[str, tuple[int, int]] = NOTHING
    stop: Stop | None = None

    @property
    def deciding(self) -> bool:
        """Whether its function is to hear what happens: not once it has decided its end, or is being stopped."""
        return self.stop is None and END not in self.asks

    @property
    def busy(self) -> bool:
        """Whether bodies or called workflows of it are open that it waits for the end of."""
        return self.frames > 0 or any(isinstance(ask, CallChild) and ask.awaited for ask in self.asks.values())

    @property
    def calling(self) -> bool:
        """Whether workflows that it called have not begun, or are waited for."""
        return any(isinstance(ask, CallChild) for ask in self.asks.values())

    @property
    def forgotten(self) -> bool:
        """Whether nothing can happen to it any more though it has not ended: nothing is open, no answer awaited."""
        return self.frames == 0 and self.stop is None and all(kind == "answer" for kind, _ in self.asks)


#: The ask that is a control node's end; answered by the event that ends the node.
END = ("end", 0)


class State(NamedTuple):
    """What is open. `held` are the nodes that are due and wait because the execution is paused."""

    phase: Phase = "new"
    frames: "Map[FrameId, Frame]" = Map()
    controls: "Map[At, Control]" = Map()
    responded: bool = False
    paused: bool = False
    held: frozenset[At] = frozenset()
    outcome: EndStatus | None = None
    failure: Failure | None = None

    def stops(self, frame: FrameId) -> bool:
        """Whether nothing may start in this frame, because it is being stopped or is over."""
        found = self.frames.get(frame)
        return found is None or found.stopping

    def runs(self, frame: FrameId, node: int) -> bool:
        """Whether this node is counted as running."""
        found = self.frames.get(frame)
        return found is not None and node in found.running


@dataclass(frozen=True, slots=True)
class StartNode:
    """Run this node."""

    at: At


@dataclass(frozen=True, slots=True)
class SkipNode:
    """This node will not run: nothing reached it. Nothing is journaled, the fold finds it again."""

    at: At


@dataclass(frozen=True, slots=True)
class CancelNode:
    """Stop this running node and say NodeCancelled when it has stopped; of a control node, its calls and waits."""

    at: At


@dataclass(frozen=True, slots=True)
class OpenFrame:
    """A body begins: these items enter it by `$in`. To be carried out also while a journal is folded."""

    at: At
    body: str
    frame: FrameId
    source: ItemsFrom


@dataclass(frozen=True, slots=True)
class CloseFrame:
    """A body is over: keep what reached `$out`, unless it failed or was stopped. Also while a journal is folded."""

    at: At
    body: str
    frame: FrameId
    failure: Failure | None
    stopped: bool


@dataclass(frozen=True, slots=True)
class CallChild:
    """Start another workflow, or wait for the one that was started as this number."""

    at: At
    call: int
    workflow_id: str
    version: int | None
    source: ItemsFrom
    awaited: bool


@dataclass(frozen=True, slots=True)
class StartWait:
    """Wait as this number: `seconds` from now, until a date, or for an answer; or go on with a wait that has begun."""

    at: At
    wait: int
    reason: WaitReason
    seconds: float | None
    until: datetime | None
    ask: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ResolveParams:
    """Evaluate a control node's parameters with the first of these items."""

    at: At
    ask: int
    source: ItemsFrom


@dataclass(frozen=True, slots=True)
class ReserveRate:
    """Reserve room in a rate that many executions share."""

    at: At
    ask: int
    key: str
    amount: int
    limit: int
    per_seconds: float


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer the request that triggered the execution, unless it was answered before."""

    at: At
    status_code: int
    headers: Mapping[str, str]
    body: Any


@dataclass(frozen=True, slots=True)
class SettleControl:
    """A control node is done with these outputs."""

    at: At
    outputs: Mapping[str, ItemsFrom]


@dataclass(frozen=True, slots=True)
class FailControl:
    """A control node failed; what follows is its `on_error`."""

    at: At
    failure: Failure


@dataclass(frozen=True, slots=True)
class CancelControl:
    """A control node was stopped, and nothing of it is open any more."""

    at: At


@dataclass(frozen=True, slots=True)
class LimitLastBodies:
    """A control node that is being stopped tidies up: from `since` on its last bodies may take so long and no longer.

    Said anew for each that begins, so that none has to do with the time that another one left.
    """

    at: At
    since: datetime


@dataclass(frozen=True, slots=True)
class ReportFault:
    """A control node's function raised `fault` instead of deciding, which is a fault of the node type."""

    at: At
    fault: Exception


@dataclass(frozen=True, slots=True)
class End:
    """Nothing is open any more: the execution ends."""

    status: EndStatus
    failure: Failure | None


Command = (
    StartNode
    | SkipNode
    | CancelNode
    | OpenFrame
    | CloseFrame
    | CallChild
    | StartWait
    | ResolveParams
    | ReserveRate
    | Answer
    | SettleControl
    | FailControl
    | CancelControl
    | LimitLastBodies
    | ReportFault
    | End
)


def end_of(root: Frame) -> End:
    """How an execution ends whose own graph is over."""
    if not root.stopping:
        return End("succeeded", None)
    return End("cancelled" if root.failure is None else "failed", root.failure)
