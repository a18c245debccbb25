"""table.add_column: work out a column from others."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from budflow.model.item import Item
from budflow.model.node import Call, Example, Params, node
from budflow.nodes.table.arrow import ColumnName, arrow, column, read_table, told_as, with_table

#: Arrow's names; those that are checked fail where a result does not fit into its type.
OPERATIONS: Mapping[str, str] = {"+": "add_checked", "-": "subtract_checked", "*": "multiply_checked", "/": "divide"}


class AddColumnParams(Params):
    """What is worked out."""

    name: ColumnName = Field(description="Name of the new column. One that is there already is replaced, in its place.")
    left: ColumnName = Field(description="The column on the left of the operator.")
    operator: Literal["+", "-", "*", "/"] = Field(
        description="What is done, row by row. `/` always gives broken numbers, and by 0 infinity."
    )
    right: int | float | ColumnName = Field(description="A number, or the name of another column.")


@node(
    "table.add_column",
    kind="item",
    params=AddColumnParams,
    heavy=True,
    examples=[
        Example(
            title="The price of each line",
            params={"name": "total", "left": "price", "operator": "*", "right": "pieces"},
            given=[{"rows": 2, "columns": ["price", "pieces"]}],
            tables=[[{"price": 2.5, "pieces": 4}, {"price": 1.0, "pieces": None}]],
            expect={"main": [{"rows": 2, "columns": ["price", "pieces", "total"]}]},
            makes=[[{"price": 2.5, "pieces": 4, "total": 10.0}, {"price": 1.0, "pieces": None, "total": None}]],
        )
    ],
)
async def add_column(call: Call[AddColumnParams]) -> Item:
    """Work out a column, row by row, from one column and a number or a second column; the table leaves by `main`.

    Where one of the two is null the result is null. A result that is too large for its type fails the item, and so do
    columns that are no numbers. It needs the extra `tables`.
    """
    pa, params = arrow(), call.params
    table = await read_table(call.blobs, call.item)
    left = column(table, params.left)
    right = column(table, params.right) if isinstance(params.right, str) else pa.scalar(params.right)
    with told_as(f"`{params.left} {params.operator} {params.right}` cannot be worked out"):
        if params.operator == "/":
            left, right = left.cast(pa.float64()), right.cast(pa.float64())
        made = getattr(pa.compute, OPERATIONS[params.operator])(left, right)
    if params.name in table.column_names:
        table = table.set_column(table.column_names.index(params.name), params.name, made)
    else:
        table = table.append_column(params.name, made)
    return await with_table(call.blobs, table, call.item)
