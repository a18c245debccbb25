"""What the `$names` of a heavy segment stand for: packed where its execution is advanced, and made again over there.

Only what its expressions read goes along; of other nodes also for each item which of theirs it was made from, found by
lineage on this side.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, cast
from zoneinfo import ZoneInfo

from budflow.execution.lineage import LineageAmbiguous, NodeView
from budflow.execution.names import PACKED, Known, RunNames
from budflow.execution.node_result import NodeRun
from budflow.expressions.budget import SEED
from budflow.expressions.evaluate import ExpressionFailed, Scope
from budflow.model.failure import Failure
from budflow.model.item import Item, ItemList, Json
from budflow.model.item_codec import decode_items, encode_items
from budflow.model.spilled import Spilled, all_json

_READ_ERRORS: Mapping[str, type[ExpressionFailed]] = {
    error.code: error for error in (ExpressionFailed, LineageAmbiguous)
}


def pack_names(run: NodeRun) -> Json:
    """What the expressions of a run read beside its items. Raises what reading blobs raises."""
    params = run.node.params
    names = run.scope(0 if run.items else None).names
    now = cast("datetime", names["now"]) if "now" in names else run.now
    trigger = names["trigger"] if "trigger" in params.names and "trigger" in names else None
    return {
        "names": {
            name: _pack_times(cast("Mapping[str, Any]", names[name]))
            for name in sorted(PACKED & params.names)
            if name in names
        },
        "run_index": names.get("run_index", 0),
        "read": {key: _pack_read(run, key) for key in params.node_keys},
        "trigger": None if trigger is None else cast("NodeView", trigger).key,
        "timezone": _zone_name(now.tzinfo),
    }


def unpack_names(
    shape: Json, wanted: frozenset[str], items: Sequence[Item], now: datetime
) -> Callable[[int | None], Scope]:
    """The scopes of a packed run, by the ordinal of its input item; `wanted` are the names that it reads."""
    zone = ZoneInfo(shape["timezone"])
    fixed: dict[str, Any] = {name: _unpack_times(values, zone) for name, values in shape["names"].items()}
    fixed["now"] = now.astimezone(zone)
    fixed["run_index"] = shape["run_index"]
    fixed[SEED] = f"{shape['effect_scope']}/{shape['path']}"
    read = {key: _Read.of(shipped) for key, shipped in shape["read"].items()}
    known = Known()

    def nodes(ordinal: int | None) -> "_Nodes":
        return _Nodes(read, ordinal, known)

    return RunNames(wanted, fixed, items, nodes=nodes, trigger=lambda: shape["trigger"]).scope


def _pack_read(run: NodeRun, key: str) -> Json:
    """What expressions may read of one other node: its items, and for each ordinal which of them it was made from.

    The last entry of `origin` is for an evaluation without an item. A failure stands where reading is to fail.
    """
    try:
        view = _view(run, key, None)
    except ExpressionFailed as error:
        return {"missing": Failure.of(error).to_json()}
    origin: list[int | Json] = []
    for ordinal in (*range(len(run.items)), None):
        try:
            origin.append(_view(run, key, ordinal).position)
        except ExpressionFailed as error:
            origin.append(Failure.of(error).to_json())
    items = view.all
    if isinstance(items, Spilled):
        all_json(items)  # Refuses what is too long to be read as a whole.
    params, number = view.described
    packed = encode_items(ItemList(list(items), range(len(items))))
    return {"items": packed, "origin": origin, "params": params, "run": number}


def _view(run: NodeRun, key: str, ordinal: int | None) -> NodeView:
    nodes = cast("Mapping[str, NodeView]", run.scope(ordinal).names["node"])
    return nodes[key]


@dataclass(frozen=True, slots=True)
class _Read:
    """Another node over there."""

    shape: Json
    items: ItemList

    @staticmethod
    def of(shape: Json) -> "_Read":
        return _Read(shape, ItemList() if "missing" in shape else decode_items(shape["items"]))

    def view(self, key: str, ordinal: int | None, known: Known) -> NodeView:
        """`$node.KEY` as an input item sees it. Raises what it raised on the other side."""
        if "missing" in self.shape:
            raise _read_error(self.shape["missing"])

        def find() -> tuple[int, int]:
            found = self.shape["origin"][-1 if ordinal is None else ordinal]
            if isinstance(found, int):
                return 0, found
            raise _read_error(found)

        return NodeView(key, [self.items], find, params=self.shape["params"], run=self.shape["run"], known=known)


@dataclass(frozen=True, slots=True)
class _Nodes(Mapping[str, NodeView]):
    """`$node` over there."""

    read: Mapping[str, _Read]
    ordinal: int | None
    known: Known

    def __getitem__(self, key: str) -> NodeView:
        return self.read[key].view(key, self.ordinal, self.known)

    def __iter__(self) -> Iterator[str]:
        return iter(self.read)

    def __len__(self) -> int:
        return len(self.read)


def _pack_times(values: Mapping[str, Any]) -> Json:
    """A mapping such as `$execution` with a mark at each value that is a time: as JSON that is a string like others."""
    return {key: (isinstance(value, datetime), value) for key, value in values.items()}


def _unpack_times(values: Json, zone: ZoneInfo) -> Json:
    return {
        key: datetime.fromisoformat(value).astimezone(zone) if is_time else value
        for key, (is_time, value) in values.items()
    }


def _read_error(shape: Json) -> ExpressionFailed:
    return _READ_ERRORS[shape["code"]](shape["message"], hint=shape.get("hint"))


def _zone_name(zone: tzinfo | None) -> str:
    return zone.key if isinstance(zone, ZoneInfo) else "UTC"
