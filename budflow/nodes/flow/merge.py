"""flow.merge: bring branches together, one after the other or item by item."""

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from itertools import product
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from budflow.model.failure import NodeError
from budflow.model.item import Item
from budflow.model.node import PART_ITEMS, Batch, Example, Outputs, Params, Static, node, passed_on
from budflow.nodes.field_path import FieldPath, read
from budflow.nodes.json_value import equality_key

ITEMS_MAX = 1_000_000
#: How many items of `right` are read into memory, where not all items are there anyway.
RIGHT_ITEMS_MAX = 200_000
Pair = tuple[int | None, int | None]


class MergeTooLarge(NodeError):
    """The merged list has too many items."""

    code = "merge.too_large"
    hint = "Choose keys that stand in few items on each side, or filter the items first."


class MergeParams(Params):
    """How the branches come together."""

    mode: Annotated[Literal["append", "by_position", "by_key", "cross", "choose"], Static] = Field(
        default="append",
        description="`append`: all items, one branch after the other, by the port main. `by_position`: the first of "
        "`left` with the first of `right`, and so on. `by_key`: items whose keys are equal. `cross`: every item of "
        "`left` with every item of `right`. `choose`: the items of one `branch` alone, once both are there.",
    )
    left_key: FieldPath | None = Field(
        default=None, description="For `by_key`: path of the field in the items of `left`, such as customer.id."
    )
    right_key: FieldPath | None = Field(
        default=None, description="For `by_key`: path of the field in the items of `right`; left out, as `left_key`."
    )
    join: Literal["inner", "left", "right", "outer", "anti"] = Field(
        default="inner",
        description="For `by_key` and `by_position`: which items without a partner stay beside the pairs: none "
        "(`inner`), those of `left`, those of `right`, or those of both (`outer`). `anti`: no pairs, only the items of "
        "`left` without a partner.",
    )
    branch: Literal["left", "right"] = Field(
        default="left",
        description="For `choose`: whose items go on, unchanged; it may be an expression on the first item of `left`.",
    )
    clash: Literal["left", "right"] = Field(
        default="right", description="Whose value wins when both items of a pair have a field of the same name."
    )

    @model_validator(mode="after")
    def _keys_are_named(self) -> Self:
        if self.mode == "by_key" and self.left_key is None:
            raise ValueError("The mode `by_key` needs `left_key`.")
        return self


def merge_ports(params: Mapping[str, Any]) -> tuple[str, ...]:
    """The input ports that raw, perhaps faulty parameters ask for."""
    return ("left", "right") if params.get("mode") in ("by_position", "by_key", "cross", "choose") else ("main",)


@node(
    "flow.merge",
    kind="list",
    params=MergeParams,
    inputs=merge_ports,
    examples=[
        Example(
            title="One list from several branches",
            params={},
            given=[{"from": "shop"}, {"from": "phone"}],
            expect={"main": [{"from": "shop"}, {"from": "phone"}]},
        ),
        Example(
            title="Orders with their customers",
            params={"mode": "by_key", "left_key": "customer", "right_key": "id", "join": "left", "clash": "left"},
            given={
                "left": [{"id": 1, "customer": "c1"}, {"id": 2, "customer": "c9"}],
                "right": [{"id": "c1", "name": "Ada"}],
            },
            expect={"main": [{"id": 1, "customer": "c1", "name": "Ada"}, {"id": 2, "customer": "c9"}]},
        ),
        Example(
            title="Put two results of the same items side by side",
            params={"mode": "by_position"},
            given={"left": [{"sku": "A1"}, {"sku": "B2"}], "right": [{"price": 5}, {"price": 7}]},
            expect={"main": [{"sku": "A1", "price": 5}, {"sku": "B2", "price": 7}]},
        ),
        Example(
            title="Keep what is new",
            params={"mode": "by_key", "left_key": "id", "join": "anti"},
            given={"left": [{"id": 1}, {"id": 2}], "right": [{"id": 1}]},
            expect={"main": [{"id": 2}]},
        ),
        Example(
            title="Every size in every colour",
            params={"mode": "cross"},
            given={"left": [{"size": "S"}, {"size": "M"}], "right": [{"colour": "red"}, {"colour": "blue"}]},
            expect={
                "main": [
                    {"size": "S", "colour": "red"},
                    {"size": "S", "colour": "blue"},
                    {"size": "M", "colour": "red"},
                    {"size": "M", "colour": "blue"},
                ]
            },
        ),
        Example(
            title="Wait for a check, and go on with the orders themselves",
            params={"mode": "choose", "branch": "left"},
            given={"left": [{"order": 7}], "right": [{"checked": True}]},
            expect={"main": [{"order": 7}]},
        ),
    ],
)
def merge(batch: Batch[MergeParams]) -> Iterator[Outputs]:
    """Wait for the branches and bring their items together, by the port `main`.

    With `append` (the default) connect every branch to the one input port: `{"from": "a", "to": "KEY"}`. The other
    modes have two input ports: `{"from": "a", "to": "KEY.left"}` and `KEY.right`. A pair becomes one item with the
    fields of both (not merged any deeper), as in a database join: an item with several partners comes out several
    times. Keys that are null or missing have no partner; 1 equals 1.0, but not "1". The order is that of `left`, then
    what has no partner in `right`. `$node.KEY.json` leads back from an item that passed alone, never from a pair.
    Lists may be of any length, but of one that is too long for memory `by_key` and `cross` take at most 200,000 items
    by `right`.
    """
    params = batch.params
    if params.mode == "append":
        yield from passed_on("main", range(len(batch.items)))
        return
    partners = _partners(batch, params)
    outputs = Outputs()
    for count, (left, right) in enumerate(_pairs(batch, params)):
        if count >= max(ITEMS_MAX, len(batch.items)):
            raise MergeTooLarge(f"The merged list has more than {ITEMS_MAX:,} items.")
        if left is not None and right is not None:
            outputs.emit("main", _combine(batch.items[left], partners[right], params.clash))
        elif (only := right if left is None else left) is not None:
            outputs.pass_on("main", only)
        if count % PART_ITEMS == PART_ITEMS - 1:
            yield outputs
            outputs = Outputs()
    yield outputs


def _partners(batch: Batch[MergeParams], params: MergeParams) -> Mapping[int, Item] | Sequence[Item]:
    """Where to look up the items of `right`: they are asked for in any order, so they must be in memory."""
    if not batch.spilled or params.mode not in ("by_key", "cross"):
        return batch.items
    right = batch.ports["right"]
    if len(right) > RIGHT_ITEMS_MAX:
        raise MergeTooLarge(
            f"{len(right):,} items came in by `right`; with this mode it may be {RIGHT_ITEMS_MAX:,}.",
            hint="Connect the longer list to `left`, which may be of any length.",
        )
    return dict(zip(right, batch.port("right"), strict=True))


def _pairs(batch: Batch[MergeParams], params: MergeParams) -> Iterator[Pair]:
    """What leaves: two items to be joined into one, or one alone."""
    match params.mode:
        case "choose":
            return ((index, None) for index in batch.ports[params.branch])
        case "cross":
            return product(batch.ports["left"], batch.ports["right"])
        case "by_position":
            return _joined(_by_position(batch), params)
        case _:
            return _joined(_by_key(batch, params), params)


def _joined(pairs: Iterator[Pair], params: MergeParams) -> Iterator[Pair]:
    """Those of the pairs, and of the items without a partner, that the join keeps."""
    for left, right in pairs:
        if left is None:
            keeps = params.join in ("right", "outer")
        elif right is None:
            keeps = params.join in ("left", "outer", "anti")
        else:
            keeps = params.join != "anti"
        if keeps:
            yield left, right


def _by_position(batch: Batch[MergeParams]) -> Iterator[Pair]:
    left, right = batch.ports["left"], batch.ports["right"]
    for position in range(max(len(left), len(right))):
        yield (
            left[position] if position < len(left) else None,
            right[position] if position < len(right) else None,
        )


def _by_key(batch: Batch[MergeParams], params: MergeParams) -> Iterator[Pair]:
    """Pairs in the order of the left items; then the right items that are in none."""
    left_key = params.left_key or ""
    right_key = params.right_key or left_key
    partners: defaultdict[Hashable, list[int]] = defaultdict(list)
    for right in batch.ports["right"]:
        partners[equality_key(read(batch.items[right].json, right_key))].append(right)
    alone = set(batch.ports["right"])
    for left in batch.ports["left"]:
        key = equality_key(read(batch.items[left].json, left_key))
        found = partners.get(key, ()) if key is not None else ()
        for right in found if params.join != "anti" else ():  # The pairs may be many more than the items.
            yield left, right
        if not found:
            yield left, None
        alone.difference_update(found)
    for right in sorted(alone):
        yield None, right


def _combine(left: Item, right: Item, clash: Literal["left", "right"]) -> Item:
    """One item with the fields and files of both."""
    weaker, stronger = (right, left) if clash == "left" else (left, right)
    fields = dict.fromkeys((*left.json, *right.json))  # The order of the fields does not depend on who wins.
    return Item(
        {**fields, **weaker.json, **stronger.json},
        {**weaker.binary, **stronger.binary},
        stronger.error or weaker.error,
    )
