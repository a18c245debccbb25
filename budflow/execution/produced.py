"""The items of an execution by the run of the node that gave them, as long as one that is to come may see them."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from budflow.execution.state import ROOT, At, FrameId
from budflow.graph.plan import ENTRY, Plan, PlanNode, Source
from budflow.model.item import EMPTY, Item, ItemList
from budflow.model.spilled import SLICE_ITEMS_MAX, Spilled

#: How the way back from an item to the one that it was made from is lost: see budflow.execution.lineage.
Lost = Literal["made", "elsewhere"]

#: What enters a body is read at once where it is no more JSON than this.
ENTRY_BYTES_MAX = 64 * 1024 * 1024


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
        self._keep(at, [outputs[name] for name in self.plan.nodes[at.node].output_names])

    def _keep(self, at: At, lists: Sequence[ItemList]) -> None:
        self._outputs[at] = lists
        graph = self.plan.nodes[at.node].graph
        if graph:
            self._inside.setdefault(FrameId(graph, at.rounds), []).append(at)

    def of(self, number: int, rounds: tuple[int, ...]) -> Sequence[ItemList] | None:
        """What node `number` gave, as seen from these rounds; None where it did not run."""
        return self._outputs.get(At(number, rounds[: self.plan.nodes[number].depth]))

    def arrived(self, source: Source, node: PlanNode, rounds: tuple[int, ...]) -> ItemList:
        """What came over one edge into a run of `node`."""
        if source.node == ENTRY:
            return self.entries.get(FrameId(node.graph, rounds), EMPTY)
        lists = self._outputs.get(At(source.node, rounds))
        return EMPTY if lists is None else lists[source.port]

    def outside(self, wanted: int, ordinal: int) -> tuple[int, int] | Lost:
        """Where what is known here ends: port and position of the item of node `wanted` behind that one."""
        return "elsewhere"

    def described(self, number: int, rounds: tuple[int, ...]) -> tuple[Mapping[str, Any], int]:
        """The parameters of node `number` as they are written, and the number of its run as seen from these rounds."""
        node = self.plan.nodes[number]
        return node.node.params, rounds[node.depth - 1] if node.depth else 0

    def inputs(self, at: At) -> tuple[list[ItemList], dict[str, range]]:
        """The lists that arrive at a node, in the order in which its ordinals count, and the ordinals of each port."""
        node = self.plan.nodes[at.node]
        lists: list[ItemList] = []
        ports: dict[str, range] = {}
        start = 0
        for name, sources in zip(node.input_names, node.inputs, strict=True):
            arriving = [_read(self.arrived(source, node, at.rounds), source) for source in sources]
            lists.extend(arriving)
            size = sum(len(part) for part in arriving)
            ports[name] = range(start, start + size)
            start += size
        return lists, ports

    def copy(self) -> tuple[Mapping[FrameId, ItemList], Mapping[At, Sequence[ItemList]]]:
        """The items of open bodies and of nodes, as they are now."""
        return dict(self.entries), dict(self._outputs)

    def restore(self, entries: Mapping[FrameId, ItemList], outputs: Mapping[At, Sequence[ItemList]]) -> None:
        """Go on with what `copy` gave."""
        self.entries.update(entries)
        for at, lists in outputs.items():
            self._keep(at, lists)

    def forget(self, frame_id: FrameId) -> None:
        """A body is over: nobody outside can see into it."""
        if frame_id != ROOT:
            self.entries.pop(frame_id, None)
            for at in self._inside.pop(frame_id, ()):
                self._outputs.pop(at, None)


def _read(items: ItemList, source: Source) -> ItemList:
    """What entered a body, in memory where it is little: until its turn comes it is only referred to."""
    stored = items.items
    if source.node != ENTRY or not isinstance(stored, Spilled) or len(stored) > SLICE_ITEMS_MAX:
        return items
    if sum(part.content_bytes for part in stored.parts) > ENTRY_BYTES_MAX:
        return items
    return ItemList(stored[:], items.lineage)
