"""data.sort: put the items in order."""

from typing import Literal

from pydantic import Field

from budflow.model.node import Batch, Example, Outputs, Params, node
from budflow.nodes.field_path import FieldPath, read
from budflow.nodes.json_value import Ordered, order_key


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
def sort_items(batch: Batch[SortParams]) -> Outputs:
    """Put all items in order by one field or several; they leave by `main`, otherwise unchanged.

    Items that are equal keep their order. Values of different types never fail: booleans come before numbers, numbers
    before texts (by code point, so upper case first), then lists and objects. A field that is missing or null comes
    last, in `asc` and in `desc`.
    """
    ranks = list(range(len(batch.items)))
    for key in reversed(batch.params.by):  # Each sort is stable, so the first key, sorted last, decides.
        falling = key.order == "desc"
        keys = [_key(read(item.json, key.field), falling=falling) for item in batch.items]
        ranks.sort(key=keys.__getitem__, reverse=falling)
    outputs = Outputs()
    for index in ranks:
        outputs.pass_on("main", index)
    return outputs


def _key(value: object, *, falling: bool) -> tuple[bool, Ordered]:
    """Missing values last, also when the order is turned round."""
    return ((value is None) != falling, order_key(value))
