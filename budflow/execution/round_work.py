"""One round of a body that only computes, node after node: the same in the loop of a runner and in another process."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from budflow.execution.lineage import out_of
from budflow.execution.node_log import ExecutionLog, NodeLog
from budflow.execution.node_result import NodeRun, settle
from budflow.execution.node_run import run_at_once
from budflow.execution.open_node import Openings, OpenNode
from budflow.execution.produced import Produced
from budflow.execution.state import At, FrameId
from budflow.graph.plan import ENTRY, PlanNode
from budflow.model.failure import Failure
from budflow.model.item import EMPTY, ItemList
from budflow.model.log import LogLine


@dataclass(slots=True)  # Not frozen: one is made for every round, and a frozen one takes four times as long.
class Round:
    """What one round gave, or why it failed, and what its nodes logged, by their keys."""

    items: ItemList
    failure: Failure | None = None
    logged: Sequence[tuple[str, NodeLog]] = ()


class RoundWork:
    """Works off single rounds. `run_of` is what a node's function is called with; `pinned` as in Admitted."""

    def __init__(
        self, produced: Produced, openings: Openings, run_of: Callable[[OpenNode], NodeRun], *, pinned: bool
    ) -> None:
        self._produced, self._openings, self._run_of, self._pinned = produced, openings, run_of, pinned

    def run(self, frame_id: FrameId, now: datetime) -> Round:
        """The nodes begin at the time of their container, so that a repetition sees the same."""
        plan = self._produced.plan
        logged: list[tuple[str, NodeLog]] = []
        for number in plan.graphs[frame_id.graph].ordered:
            node, at = plan.nodes[number], At(number, frame_id.rounds)
            if not self._is_reached(node, at):
                continue
            opened = self._openings.open(at, now)
            given = self._compute(opened)
            if opened.log is not None and opened.log.said:
                logged.append((node.key, opened.log))
            if isinstance(given, Failure):
                return Round(EMPTY, given, logged)
            self._produced.keep(at, given)
        return Round(out_of(self._produced, frame_id), None, logged)

    def _compute(self, opened: OpenNode) -> Mapping[str, ItemList] | Failure:
        given = opened.given(pinned=self._pinned)
        if given is None:
            return settle(opened.node, opened.items, run_at_once(self._run_of(opened)), opened.path)
        return {name: given.get(name, EMPTY) for name in opened.node.output_names}

    def _is_reached(self, node: PlanNode, at: At) -> bool:
        """The rule by which the core settles, for a node whose sources have all settled."""
        empty = False
        for sources in node.inputs:
            for source in sources:
                if source.node != ENTRY and self._produced.of(source.node, at.rounds) is None:
                    continue
                if len(self._produced.arrived(source, node, at.rounds)):
                    return True
                empty = True
        return empty and (node.spec.run_on_empty or node.node.run_on_empty)


def received_log(execution: ExecutionLog, key: str, lines: Sequence[LogLine], missed: int) -> NodeLog:
    """What a node logged in another process, and `missed` lines more for which it had no room there."""
    log = NodeLog(execution, key)
    log.receive(0, lines)
    log.miss(missed)
    return log
