"""The items of an execution by the run of the node that gave them, as long as one that is to come may see them."""

from collections.abc import Mapping, Sequence

from budflow.execution.state import ROOT, At, FrameId
from budflow.graph.plan import ENTRY, Plan, PlanNode, Source
from budflow.model.item import EMPTY, Item, ItemList


class Produced:
    """What nodes gave (a list a port), and what entered each open body.

    The lineage of what entered a body counts in the input items of its container.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.admitted: Sequence[Item] = ()
        self.entries: dict[FrameId, ItemList] = {}
        self._outputs: dict[At, Sequence[ItemList]] = {}
        self._inside: dict[FrameId, list[At]] = {}

    def keep(self, at: At, outputs: Mapping[str, ItemList]) -> None:
        """What a node gave, for those behind it."""
        node = self.plan.nodes[at.node]
        self._outputs[at] = [outputs[name] for name in node.output_names]
        if node.graph:
            self._inside.setdefault(FrameId(node.graph, at.rounds), []).append(at)

    def of(self, number: int, rounds: tuple[int, ...]) -> Sequence[ItemList] | None:
        """What node `number` gave, as seen from these rounds; None where it did not run."""
        return self._outputs.get(At(number, rounds[: self.plan.nodes[number].depth]))

    def arrived(self, source: Source, node: PlanNode, rounds: tuple[int, ...]) -> ItemList:
        """What came over one edge into a run of `node`."""
        if source.node == ENTRY:
            return self.entries.get(FrameId(node.graph, rounds), EMPTY)
        lists = self._outputs.get(At(source.node, rounds))
        return EMPTY if lists is None else lists[source.port]

    def inputs(self, at: At) -> tuple[list[ItemList], dict[str, range]]:
        """The lists that arrive at a node, in the order in which its ordinals count, and the ordinals of each port."""
        node = self.plan.nodes[at.node]
        lists: list[ItemList] = []
        ports: dict[str, range] = {}
        start = 0
        for name, sources in zip(node.input_names, node.inputs, strict=True):
            arriving = [self.arrived(source, node, at.rounds) for source in sources]
            lists.extend(arriving)
            size = sum(len(part) for part in arriving)
            ports[name] = range(start, start + size)
            start += size
        return lists, ports

    def forget(self, frame_id: FrameId) -> None:
        """A body is over: nobody outside can see into it."""
        if frame_id != ROOT:
            self.entries.pop(frame_id, None)
            for at in self._inside.pop(frame_id, ()):
                self._outputs.pop(at, None)
