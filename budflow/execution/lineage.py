"""Where an item came from: followed back through the lineage columns, node by node, to the item of an earlier node."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from budflow.expressions.evaluate import ExpressionFailed
from budflow.graph.plan import Plan, PlanNode, Source
from budflow.model.item import EMPTY, ItemList

#: Node number → the items on each of its output ports, in the order of its ports.
Produced = Mapping[int, Sequence[ItemList]]


class LineageAmbiguous(ExpressionFailed):
    """Several items of that node may be meant."""

    code = "lineage.ambiguous"
    hint = "Read all of them with `$node.KEY.items`, and choose: `$node.KEY.items[0]`."


class NodeView(Mapping[str, Any]):
    """What `$node.KEY` reads: `json` of the item that the current one was made from, `items` of all its ports."""

    __slots__ = ("_find", "_key", "_lists")

    def __init__(self, key: str, lists: Sequence[ItemList], find: Callable[[], dict[str, Any]]) -> None:
        self._key, self._lists, self._find = key, lists, find

    def __getitem__(self, name: str) -> Any:
        if name == "json":
            return self._find()
        if name == "items":
            return [item.json for part in self._lists for item in part.items]
        raise KeyError(name)

    def __iter__(self) -> Any:
        return iter(("json", "items"))

    def __len__(self) -> int:
        return 2


class NodeViews(Mapping[str, NodeView]):
    """What `$node` reads, seen from one item of one node."""

    __slots__ = ("_node", "_ordinal", "_plan", "_produced")

    def __init__(self, plan: Plan, produced: Produced, node: PlanNode, ordinal: int | None) -> None:
        self._plan, self._produced, self._node, self._ordinal = plan, produced, node, ordinal

    def __getitem__(self, key: str) -> NodeView:
        number = self._plan.index[key]
        lists = self._produced.get(number)
        if lists is None:
            raise ExpressionFailed(f"The node `{key}` did not run in this execution.", hint="Is another branch meant?")
        return NodeView(key, lists, lambda: self._item(key, number, lists))

    def __iter__(self) -> Any:
        return iter(self._plan.nodes[number].key for number in self._produced)

    def __len__(self) -> int:
        return len(self._produced)

    def _item(self, key: str, number: int, lists: Sequence[ItemList]) -> dict[str, Any]:
        every = [item for part in lists for item in part.items]
        if len(every) == 1:
            return every[0].json
        found = trace(self._plan, self._produced, self._node, self._ordinal, number)
        if found is None:
            raise LineageAmbiguous(f"`$node.{key}.json` may be any of {len(every)} items here.")
        port, position = found
        return lists[port].items[position].json


def inputs_of(node: PlanNode, produced: Produced) -> tuple[list[ItemList], dict[str, range]]:
    """The lists that arrive at a node, in the order in which its ordinals count, and the ordinals of each port."""
    lists: list[ItemList] = []
    ports: dict[str, range] = {}
    start = 0
    for name, sources in zip(node.input_names, node.inputs, strict=True):
        arriving = [_list_of(source, produced) for source in sources]
        lists.extend(arriving)
        size = sum(len(part) for part in arriving)
        ports[name] = range(start, start + size)
        start += size
    return lists, ports


def trace(plan: Plan, produced: Produced, node: PlanNode, ordinal: int | None, wanted: int) -> tuple[int, int] | None:
    """Port and position of the item of node `wanted` that input item `ordinal` of `node` was made from.

    None where the way is lost: at an item that was made from none or from several, or where no way leads there.
    """
    while ordinal is not None and ordinal >= 0:
        source = _source_of(node, produced, ordinal)
        if source is None:
            return None
        origin, position = source
        if origin.node == wanted:
            return origin.port, position
        node = plan.nodes[origin.node]
        ordinal = produced[origin.node][origin.port].lineage[position]
    return None


def _source_of(node: PlanNode, produced: Produced, ordinal: int) -> tuple[Source, int] | None:
    for sources in node.inputs:
        for source in sources:
            size = len(_list_of(source, produced))
            if ordinal < size:
                return source, ordinal
            ordinal -= size
    return None


def _list_of(source: Source, produced: Produced) -> ItemList:
    lists = produced.get(source.node)
    return EMPTY if lists is None else lists[source.port]
