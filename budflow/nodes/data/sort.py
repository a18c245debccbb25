"""data.sort: put the items in order."""

from collections.abc import Iterator, Sequence
from functools import total_ordering
from heapq import merge
from typing import Any, Literal

from pydantic import Field

from budflow.model.item import Item, ItemList
from budflow.model.node import PART_ITEMS, Batch, Example, Outputs, Params, node, passed_on
from budflow.nodes.field_path import FieldPath, read
from budflow.nodes.json_value import Ordered, order_key

#: So many items of a list that is too long for memory are sorted at once.
RUN_ITEMS = 10_000


class SortKey(Params):
    """One field to sort by."""

    field: FieldPath = Field(description="Path of the field, such as customer.name.")
    order: Literal["asc", "desc"] = Field(
        default="asc", description="`asc` puts the smallest first, `desc` the largest."
    )


class SortParams(Params):
    """The order."""

    by: list[SortKey] = Field(
        min_length=1,
        max_length=16,
        description="Fields to sort by; a later one decides between items that are equal in all before it.",
    )


@node(
    "data.sort",
    kind="list",
    params=SortParams,
    examples=[
        Example(
            title="The best first, equals by name",
            params={"by": [{"field": "score", "order": "desc"}, {"field": "name"}]},
            given=[{"name": "Cy", "score": 7}, {"name": "Bo", "score": 9}, {"name": "Al", "score": 7}],
            expect={"main": [{"name": "Bo", "score": 9}, {"name": "Al", "score": 7}, {"name": "Cy", "score": 7}]},
        ),
        Example(
            title="Items without the field come last",
            params={"by": [{"field": "due"}]},
            given=[{"id": 1}, {"id": 2, "due": "2030-02-01"}, {"id": 3, "due": "2030-01-01"}],
            expect={"main": [{"id": 3, "due": "2030-01-01"}, {"id": 2, "due": "2030-02-01"}, {"id": 1}]},
        ),
    ],
)
def sort_items(batch: Batch[SortParams]) -> Iterator[Outputs]:
    """Put all items in order by one field or several; they leave by `main`, otherwise unchanged.

    Items that are equal keep their order. Values of different types never fail: booleans come before numbers, numbers
    before texts (by code point, so upper case first), then lists and objects. A field that is missing or null comes
    last, in `asc` and in `desc`. A list may be of any length.
    """
    if not batch.spilled:
        yield from passed_on("main", _ranks(batch.params, batch.items))
        return
    runs: list[ItemList] = []
    for start in range(0, len(batch.items), RUN_ITEMS):
        items = batch.items[start : start + RUN_ITEMS]
        ranks = _ranks(batch.params, items)
        runs.append(batch.put_aside(ItemList([items[rank] for rank in ranks], [start + rank for rank in ranks])))
        yield Outputs()
    outputs = Outputs()
    by = batch.params.by
    merged = merge(*map(_pairs, runs), key=lambda pair: [_rank(pair[0], key) for key in by])
    for count, (item, index) in enumerate(merged, 1):
        outputs.emit("main", item, index)
        if count % PART_ITEMS == 0:
            yield outputs
            outputs = Outputs()
    yield outputs


def _ranks(params: SortParams, items: Sequence[Item]) -> list[int]:
    """The indices of the items in their order."""
    ranks = list(range(len(items)))
    for key in reversed(params.by):  # Each sort is stable, so the first key, sorted last, decides.
        falling = key.order == "desc"
        keys = [_key(read(item.json, key.field), falling=falling) for item in items]
        ranks.sort(key=keys.__getitem__, reverse=falling)
    return ranks


def _pairs(run: ItemList) -> Iterator[tuple[Item, int]]:
    return zip(run.items, run.lineage, strict=True)


@total_ordering
class _Falling:
    """A key that comes the sooner the larger it is."""

    __slots__ = ("_key",)

    def __init__(self, key: tuple[bool, Ordered]) -> None:
        self._key = key

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Falling) and self._key == other._key

    def __lt__(self, other: "_Falling") -> bool:
        return other._key < self._key

    __hash__ = None  # type: ignore[assignment]  # it is only compared


def _rank(item: Item, key: SortKey) -> Any:
    falling = key.order == "desc"
    rank = _key(read(item.json, key.field), falling=falling)
    return _Falling(rank) if falling else rank


def _key(value: object, *, falling: bool) -> tuple[bool, Ordered]:
    """Missing values last, also when the order is turned round."""
    return ((value is None) != falling, order_key(value))
