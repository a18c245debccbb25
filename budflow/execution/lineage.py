"""Where an item came from: followed back through the lineage columns, node by node, to the item of an earlier node."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from budflow.execution.names import ItemView, Known, all_views, error_of, known_list
from budflow.execution.produced import Lost, Produced
from budflow.execution.state import At, FrameId
from budflow.expressions.evaluate import ExpressionFailed
from budflow.expressions.views import View
from budflow.graph.plan import ENTRY, Source
from budflow.model.item import Item, ItemList, Json
from budflow.model.joined import chained, gathered
from budflow.model.spilled import all_json


class LineageAmbiguous(ExpressionFailed):
    """Several items of that node may be meant."""

    code = "lineage.ambiguous"
    hint = "Read all of them with `$node.KEY.items`, and choose: `$node.KEY.items[0]`."


ELSEWHERE_HINT = (
    "Let the item come by that node, bring both branches together with `flow.merge` by a key, or choose among all of "
    "its items: `$node.KEY.items`."
)
NO_ITEMS_HINT = "Read `$node.KEY.items`, which may be empty: `$node.KEY.items.first()?.field`."


class NodeView(View):
    """What `$node.KEY` reads: `item`, of which the current one was made, and its `json`; `items`, the data of all.

    `find` gives port and position of the item among `lists`. `known` keeps what was made of all of them.
    """

    __slots__ = ("_find", "_key", "_known", "_lists", "_params", "_run")
    FIELDS = ("json", "item", "items", "first", "last", "all", "params", "error", "runs")

    def __init__(
        self,
        key: str,
        lists: Sequence[ItemList],
        find: Callable[[], tuple[int, int]],
        *,
        params: Mapping[str, Any],
        run: int = 0,
        known: Known | None = None,
    ) -> None:
        self._key, self._lists, self._find, self._params, self._run = key, lists, find, params, run
        self._known = {} if known is None else known

    @property
    def position(self) -> int:
        """Where the item that the current one was made from stands among all. Raises LineageAmbiguous."""
        port, position = self._find()
        return sum(len(part) for part in self._lists[:port]) + position

    @property
    def key(self) -> str:
        """The node's."""
        return self._key

    @property
    def all(self) -> Sequence[Item]:
        """All its items, of one port after the other."""
        return chained(self._lists)

    @property
    def described(self) -> tuple[Mapping[str, Any], int]:
        """Its parameters as they are written, and the number of its run."""
        return self._params, self._run

    def __getitem__(self, name: str) -> Any:
        match name:
            case "json":
                port, position = self._find()
                return self._lists[port].items[position].json
            case "items":
                return self._all_json()
            case "item" | "error":
                port, position = self._find()
                item = self._lists[port].items[position]
                if name == "error":
                    return error_of(item)
                return ItemView(item, sum(len(part) for part in self._lists[:port]) + position)
            case "first" | "last":
                return self._end(first=name == "first")
            case "all":
                return known_list(self._known, self._key, name, lambda: all_views(chained(self._lists)))
            case "params":
                return self._params
            case "runs":
                return [{"index": self._run, "items": self._all_json()}]
        raise KeyError(name)

    def _end(self, *, first: bool) -> ItemView | None:
        """The first or the last item, without going through the others; None where there is none."""
        filled = [part for part in self._lists if len(part)]
        if not filled:
            return None
        if first:
            return ItemView(filled[0].items[0], 0)
        return ItemView(filled[-1].items[len(filled[-1]) - 1], sum(map(len, filled)) - 1)

    def _all_json(self) -> list[Json]:
        return known_list(self._known, self._key, "items", lambda: all_json(chained(self._lists)))


class NodeViews(Mapping[str, NodeView]):
    """What `$node` reads, seen from one item of one run of a node."""

    __slots__ = ("_at", "_known", "_ordinal", "_produced")

    def __init__(self, produced: Produced, at: At, ordinal: int | None, known: Known | None = None) -> None:
        self._produced, self._at, self._ordinal, self._known = produced, at, ordinal, known

    def __getitem__(self, key: str) -> NodeView:
        number = self._produced.plan.index[key]
        lists = self._produced.of(number, self._at.rounds)
        if lists is None:
            raise ExpressionFailed(f"The node `{key}` did not run in this execution.", hint="Is another branch meant?")
        params, run = self._produced.described(number, self._at.rounds)
        return NodeView(
            key,
            lists,
            lambda: self._find(key, number, lists),
            params=params,
            run=run,
            known=self._known,
        )

    def __iter__(self) -> Any:
        nodes = self._produced.plan.nodes
        return iter(node.key for node in nodes if self._produced.of(node.index, self._at.rounds) is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _find(self, key: str, number: int, lists: Sequence[ItemList]) -> tuple[int, int]:
        """Port and position."""
        count = sum(len(part) for part in lists)
        if count == 1:
            return next(port for port, part in enumerate(lists) if len(part)), 0
        found = trace(self._produced, self._at, self._ordinal, number)
        if isinstance(found, tuple):
            return found
        if not count:
            raise LineageAmbiguous(f"`{key}` gave no items, so there is no `$node.{key}.json`.", hint=NO_ITEMS_HINT)
        item = "The item" if self._ordinal is None else f"Item {self._ordinal}, counted from 0,"
        if found == "elsewhere":
            message = f"{item} was not made from an item of `{key}`: it came another way."
            raise LineageAmbiguous(message, hint=ELSEWHERE_HINT)
        message = f"{item} was made from several items or from none: `$node.{key}.json` may be any of {count}."
        raise LineageAmbiguous(message)


def trace(produced: Produced, at: At, ordinal: int | None, wanted: int) -> tuple[int, int] | Lost:
    """Port and position of the item of node `wanted` that input item `ordinal` of `at` was made from.

    Or how the way is lost: at an item that was made from none or from several (`made`), or since it leads past that
    node (`elsewhere`).
    """
    plan = produced.plan
    node, rounds = plan.nodes[at.node], at.rounds
    while ordinal is not None and ordinal >= 0:
        found = _source_of(produced, At(node.index, rounds), ordinal)
        if found is None:
            return "elsewhere"
        source, position = found
        if source.node == wanted:
            return source.port, position
        lists = produced.arrived(source, node, rounds)
        ordinal = lists.lineage[position]
        if source.node == ENTRY:  # Out of the body: to the item of its container that entered it.
            container = plan.graphs[node.graph].container
            if container is None:
                return produced.outside(wanted, ordinal)
            node = plan.nodes[container]
            rounds = rounds[: node.depth]
        else:
            node = plan.nodes[source.node]
            if node.spec.trigger:
                return "elsewhere"  # Nothing comes before it.
    return "made"


def out_of(produced: Produced, frame_id: FrameId) -> ItemList:
    """What reached `$out` in a frame; its lineage says which of the container's input items each was made from."""
    graph = produced.plan.graphs[frame_id.graph]
    entry = produced.entries[frame_id]
    left: list[ItemList] = []
    for source in graph.exits:
        if source.node == ENTRY:
            left.append(entry)
            continue
        lists = produced.of(source.node, frame_id.rounds)
        if lists is None:
            continue
        arrived = lists[source.port]
        at = At(source.node, frame_id.rounds)
        left.append(ItemList(arrived.items, [_entered(produced, at, ordinal, entry) for ordinal in arrived.lineage]))
    return gathered(left)


def _entered(produced: Produced, at: At, ordinal: int, entry: ItemList) -> int:
    """The lineage, in `entry`, of the item that input item `ordinal` of a node in the frame was made from."""
    nodes = produced.plan.nodes
    number = at.node
    while ordinal >= 0:
        found = _source_of(produced, At(number, at.rounds), ordinal)
        if found is None:
            return -1
        source, position = found
        if source.node == ENTRY:
            return entry.lineage[position]
        ordinal = produced.arrived(source, nodes[number], at.rounds).lineage[position]
        number = source.node
    return -1


def _source_of(produced: Produced, at: At, ordinal: int) -> tuple[Source, int] | None:
    node = produced.plan.nodes[at.node]
    for sources in node.inputs:
        for source in sources:
            size = len(produced.arrived(source, node, at.rounds))
            if ordinal < size:
                return source, ordinal
            ordinal -= size
    return None
