"""The state of an execution, in the size of its open work, and the commands by which the core says what is next."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from budflow.model.event import EndStatus
from budflow.model.failure import Failure
from budflow.model.node import ControlState, FromCall, FromInputs

Phase = Literal["new", "running", "stopping", "ended"]


class Tally(NamedTuple):
    """A node of which some edges have settled: how many are open, and what the settled ones brought."""

    open: int
    delivered: bool = False
    empty: bool = False


class State(NamedTuple):
    """What is open; a tuple, since one is made for every event and a dataclass takes four times as long.

    `unsettled` counts the nodes that neither ran nor were skipped; at 0 the execution ends. While `stopping` nothing
    new starts; when the last running node is gone the execution ends as `outcome` says.
    """

    phase: Phase = "new"
    tallies: Mapping[int, Tally] = MappingProxyType({})
    running: frozenset[int] = frozenset()
    controls: Mapping[int, ControlState] = MappingProxyType({})
    unsettled: int = 0
    responded: bool = False
    outcome: EndStatus = "succeeded"
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class StartNode:
    """Run this node."""

    node: int


@dataclass(frozen=True, slots=True)
class SkipNode:
    """This node will not run: nothing reached it. Nothing is journaled, the fold finds it again."""

    node: int


@dataclass(frozen=True, slots=True)
class CancelNode:
    """Stop this running node and say NodeCancelled when it has stopped."""

    node: int


@dataclass(frozen=True, slots=True)
class CallChild:
    """Start another workflow with this node's input items."""

    node: int
    call: int
    workflow_id: str
    version: int | None


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer the request that triggered the execution, unless it was answered before."""

    node: int
    status_code: int
    headers: Mapping[str, str]
    body: Any


@dataclass(frozen=True, slots=True)
class SettleControl:
    """A control node is done with these outputs."""

    node: int
    outputs: Mapping[str, FromInputs | FromCall]


@dataclass(frozen=True, slots=True)
class FailControl:
    """A control node failed; what follows is its `on_error`."""

    node: int
    failure: Failure


@dataclass(frozen=True, slots=True)
class FaultyControl:
    """A control node's function raised `fault` instead of deciding: the node failed."""

    node: int
    fault: Exception


@dataclass(frozen=True, slots=True)
class End:
    """Nothing is open any more: the execution ends."""

    status: EndStatus
    failure: Failure | None


Command = StartNode | SkipNode | CancelNode | CallChild | Answer | SettleControl | FailControl | FaultyControl | End
