"""Looking back at an execution: what the expressions of a node saw, or would have seen, from its journal.

The events are folded as for an execution that is taken up again, but nothing is forgotten and nothing is done.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, cast

from budflow.execution import state as s
from budflow.execution.collecting import Collecting
from budflow.execution.controls import Controls
from budflow.execution.names import RunNames
from budflow.execution.node_work import NodeWork
from budflow.execution.open_node import Openings, OpenNode
from budflow.execution.ports import NOTHING_AROUND, Link
from budflow.execution.produced import Produced
from budflow.execution.replay import Replay
from budflow.execution.state import At
from budflow.graph.plan import Plan
from budflow.model import event as e
from budflow.model.event_lists import with_lists
from budflow.model.execution import Execution
from budflow.model.item import ItemList
from budflow.model.path import Rounds


class Hindsight:
    """What is known of an execution's nodes and their items."""

    def __init__(self, plan: Plan, produced: Produced, openings: Openings, times: Mapping[At, datetime]) -> None:
        self._plan, self._produced, self._openings, self._times = plan, produced, openings, times

    def node(self, key: str, rounds: Rounds, *, now: datetime) -> OpenNode:
        """A run of a node with the items that reached it; a node that did not run may have some too.

        `rounds` that are not given are the first. `now` is when it started, where it did not.
        """
        number = self._plan.index[key]
        depth = self._plan.nodes[number].depth
        at = At(number, (*rounds, *(0,) * (depth - len(rounds))))
        return self._openings.open(at, self._times.get(at, now))

    def names(self, opened: OpenNode, wanted: frozenset[str]) -> RunNames:
        """What expressions with these `$names` see there."""
        return self._openings.names_of(opened, wanted)

    def nodes_seen(self, opened: OpenNode) -> list[str]:
        """The keys of the nodes that gave something which can be read there."""
        seen, nodes = self._produced, self._plan.nodes
        return [
            node.key for node in nodes if node.depth <= len(opened.at.rounds) and seen.of(node.index, opened.at.rounds)
        ]


def look_back(
    plan: Plan,
    execution: Execution,
    events: Iterable[e.Event],
    *,
    open_list: Callable[[ItemList], ItemList],
    resume_url: str | None = None,
    surroundings: Mapping[str, Mapping[str, Any]] = NOTHING_AROUND,
) -> Hindsight:
    """Fold the journal so far; on an event loop. Raises EventUnreadable, and what reading lists in blobs raises."""
    produced = _Kept(plan)
    openings = Openings(execution, plan, produced, resume_url, surroundings)
    open_nodes: dict[At, OpenNode] = {}
    controls = Controls(
        produced,
        openings,
        # What is done with these, none of it happens while events are folded.
        cast("NodeWork", None),
        cast("Link", None),
        cast("Collecting", None),
        open_nodes=open_nodes,
        emit=_nothing,
        close=lambda opened, event: None,
        deliver=_nothing,
        now=lambda: execution.created_at,
    )
    times: dict[At, datetime] = {}
    readable = [with_lists(event, open_list) for event in events]
    for event in readable:
        if isinstance(event, e.NodeStarted | e.NodeFinished | e.NodeFailed):
            at = At(plan.index[event.node], event.rounds)
            times.setdefault(at, event.at if isinstance(event, e.NodeStarted) else event.started_at)
    Replay(plan, produced, openings, open_nodes, controls).fold(readable)
    return Hindsight(plan, produced, openings, times)


class _Kept(Produced):
    """Forgets nothing, so that what was in a body can be looked at when it is over."""

    def forget(self, frame_id: s.FrameId) -> None:
        """See Produced."""


def _nothing(event: e.Event) -> None:
    """Nobody hears of what is only looked at."""
