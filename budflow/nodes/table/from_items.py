"""table.from_items: put all items into one table."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any

from pydantic import Field

from budflow.model.item import Item
from budflow.model.node import Batch, Example, Outputs, Params, node
from budflow.nodes.table.arrow import ColumnName, arrow, told_as, with_table

#: So many items are made columns of at once.
PART_ROWS = 10_000


class FromItemsParams(Params):
    """Which fields become columns."""

    columns: list[ColumnName] | None = Field(
        default=None,
        min_length=1,
        max_length=1_000,
        description="Fields of the items that become columns, in this order. Left out, all that any item has, in the "
        "order in which they first appear.",
    )


@node(
    "table.from_items",
    kind="list",
    params=FromItemsParams,
    heavy=True,
    examples=[
        Example(
            title="Items as a table",
            params={},
            given=[{"name": "Ada", "age": 36}, {"name": "Bo"}],
            expect={"main": [{"rows": 2, "columns": ["name", "age"]}]},
            makes=[[{"name": "Ada", "age": 36}, {"name": "Bo", "age": None}]],
        ),
        Example(
            title="Only some fields",
            params={"columns": ["age"]},
            given=[{"name": "Ada", "age": 36}, {"name": "Bo", "age": 7}],
            expect={"main": [{"rows": 2, "columns": ["age"]}]},
            makes=[[{"age": 36}, {"age": 7}]],
        ),
    ],
)
async def table_from_items(batch: Batch[FromItemsParams]) -> AsyncGenerator[Outputs, None]:
    """Make one table of all items, a row each; the one item that carries it leaves by `main`.

    A table is a blob in the file format of Apache Arrow: it passes from node to node by reference, however large it is,
    and its columns have types. Whole and broken numbers in one column become broken numbers; a field that is missing is
    null. Values of types that do not go together, such as numbers and texts, fail the node. It needs the extra
    `tables`.
    """
    pa, wanted = arrow(), batch.params.columns
    parts = []
    for start in range(0, len(batch.items), PART_ROWS):
        parts.append(_part(batch.items[start : start + PART_ROWS], wanted))
        yield Outputs()
    with told_as("The items do not go together"):
        table = pa.concat_tables(parts, promote_options="permissive")
    outputs = Outputs()
    outputs.emit("main", await with_table(batch.blobs, table, Item({})))
    yield outputs


def _part(items: Sequence[Item], wanted: Sequence[str] | None) -> Any:
    pa = arrow()
    columns = {}
    for name in wanted or dict.fromkeys(name for item in items for name in item.json):
        with told_as(f"The field `{name}` cannot be a column"):
            columns[name] = pa.array([item.json.get(name) for item in items])
    return pa.table(columns)
