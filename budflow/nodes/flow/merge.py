"""flow.merge: bring branches together, one after the other or item by item."""

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from budflow.model.failure import NodeError
from budflow.model.item import Item
from budflow.model.node import Batch, Example, Outputs, Params, Static, node
from budflow.nodes.field_path import FieldPath, read
from budflow.nodes.json_value import equality_key

ITEMS_MAX = 1_000_000
Pair = tuple[int | None, int | None]


class MergeTooLarge(NodeError):
    """The merged list has too many items."""

    code = "merge.too_large"
    hint = "Choose keys that stand in few items on each side, or filter the items first."


class MergeParams(Params):
    """How the branches come together."""

    mode: Annotated[Literal["append", "by_position", "by_key"], Static] = Field(
        default="append",
        description="`append`: all items, one branch after the other, by the port main. `by_position`: the first of "
        "`left` with the first of `right`, and so on. `by_key`: items whose keys are equal.",
    )
    left_key: FieldPath | None = Field(
        default=None, description="For `by_key`: path of the field in the items of `left`, such as customer.id."
    )
    right_key: FieldPath | None = Field(
        default=None, description="For `by_key`: path of the field in the items of `right`; left out, as `left_key`."
    )
    join: Literal["inner", "left", "outer"] = Field(
        default="inner",
        description="Which items without a partner stay: none (`inner`), those of `left`, or those of both (`outer`).",
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
    return ("left", "right") if params.get("mode") in ("by_position", "by_key") else ("main",)


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
    ],
)
def merge(batch: Batch[MergeParams]) -> Outputs:
    """Wait for the branches and bring their items together, by the port `main`.

    With `append` (the default) connect every branch to the one input port: `{"from": "a", "to": "KEY"}`. With
    `by_position` and `by_key` there are two input ports: `{"from": "a", "to": "KEY.left"}` and `KEY.right`; a pair
    becomes one item with the fields of both (not merged any deeper), as in a database join: an item with several
    partners comes out several times. Keys that are null or missing have no partner; 1 equals 1.0, but not "1". The
    order is that of `left`, then what has no partner in `right`.
    """
    outputs = Outputs()
    params = batch.params
    if params.mode == "append":
        for index in range(len(batch.items)):
            outputs.pass_on("main", index)
        return outputs
    pairs = _by_position(batch) if params.mode == "by_position" else _by_key(batch, params)
    for count, (left, right) in enumerate(pairs):
        if count >= ITEMS_MAX:
            raise MergeTooLarge(f"The merged list has more than {ITEMS_MAX:,} items.")
        if left is not None and right is not None:
            outputs.emit("main", _combine(batch.items[left], batch.items[right], params.clash))
        elif left is not None and params.join != "inner":
            outputs.pass_on("main", left)
        elif right is not None and params.join == "outer":
            outputs.pass_on("main", right)
    return outputs


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
        for right in found:
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
