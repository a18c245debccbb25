"""data.split_out: make one item of each element of a list."""

from typing import Any, Literal

from pydantic import Field

from budflow.model.failure import NodeError
from budflow.model.item import Item, Json
from budflow.model.node import Batch, Example, Outputs, Params, node
from budflow.nodes.field_path import FieldPath, PathBlocked, put, read, remove, segments
from budflow.nodes.json_value import kind_of


class NotAList(NodeError):
    """The field to split holds no list."""

    code = "split_out.not_a_list"
    hint = "Name the path of a list; put a single value into a list with data.set first."


class SplitOutParams(Params):
    """Which list, and what goes with each of its elements."""

    field: FieldPath = Field(description="Path of the list in the item, such as order.lines.")
    include: Literal["none", "others"] = Field(
        default="none",
        description="`none`: the new items hold just the element. `others`: each also holds the other fields and the "
        "files of the item that it comes from.",
    )
    name: FieldPath | None = Field(
        default=None,
        description="Path at which the element stands in the new item. Left out: with `none` an element that is an "
        "object becomes the item itself, and any other stands under the last part of `field`; with `others` it stands "
        "where the list stood.",
    )


@node(
    "data.split_out",
    kind="batch",
    params=SplitOutParams,
    examples=[
        Example(
            title="One item for each line of an order",
            params={"field": "lines"},
            given=[{"order": 1, "lines": [{"sku": "A1"}, {"sku": "B2"}]}],
            expect={"main": [{"sku": "A1"}, {"sku": "B2"}]},
        ),
        Example(
            title="Keep the order's other fields with each line",
            params={"field": "lines", "include": "others", "name": "line"},
            given=[{"order": 1, "lines": [{"sku": "A1"}, {"sku": "B2"}]}, {"order": 2, "lines": []}],
            expect={"main": [{"order": 1, "line": {"sku": "A1"}}, {"order": 1, "line": {"sku": "B2"}}]},
        ),
        Example(
            title="A list of plain values",
            params={"field": "user.tags"},
            given=[{"user": {"tags": ["new", "vip"]}}],
            expect={"main": [{"tags": "new"}, {"tags": "vip"}]},
        ),
    ],
)
def split_out(batch: Batch[SplitOutParams]) -> Outputs:
    """Turn the list in a field of each item into items of their own, by `main`, in order.

    Use it after a request that answers with a list inside an object. A list that is empty, missing or null gives no
    items; anything else that is no list fails the item. The way back is `data.aggregate` with `collect`.
    """
    outputs = Outputs()
    for index, params in batch.each():
        item = batch.items[index]
        elements = read(item.json, params.field)
        if elements is None:
            continue
        if not isinstance(elements, list):
            outputs.fail(index, NotAList(f"The field {params.field} holds {kind_of(elements)} and no list."))
            continue
        try:
            made = [_make(item, element, params) for element in elements]
        except PathBlocked as blocked:
            outputs.fail(index, blocked)
            continue
        for new in made:
            outputs.emit("main", new, index)
    return outputs


def _make(item: Item, element: Any, params: SplitOutParams) -> Item:
    if params.include == "none":
        if params.name is None and isinstance(element, dict):
            return Item(element)
        alone: Json = {}
        put(alone, params.name or segments(params.field)[-1], element)
        return Item(alone)
    beside = dict(item.json)
    if params.name is not None:
        remove(beside, params.field)
    put(beside, params.name or params.field, element)
    return Item(beside, item.binary)
