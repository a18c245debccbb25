"""table.group: count and sum the rows of a table, all together or by group."""

from typing import Literal, Self

from pydantic import Field, model_validator

from budflow.model.item import Item
from budflow.model.node import Call, Example, Params, node
from budflow.nodes.table.arrow import ColumnName, column, read_table, told_as, with_table


class TableOperation(Params):
    """One column of the result."""

    operation: Literal["count", "sum", "mean", "min", "max", "count_distinct"] = Field(
        description="`count` the rows; `sum` or `mean` of numbers; the smallest (`min`) or largest (`max`) value; "
        "`count_distinct`: how many different ones."
    )
    column: ColumnName | None = Field(
        default=None,
        description="The column. Only `count` goes without: it then counts rows, and with one those where it is not "
        "null.",
    )
    name: ColumnName | None = Field(
        default=None, description="Name of the column in the result; left out, operation and column, such as sum_price."
    )

    @model_validator(mode="after")
    def _column_is_given(self) -> Self:
        if self.column is None and self.operation != "count":
            raise ValueError(f"The operation `{self.operation}` needs a `column`.")
        return self

    @property
    def result_name(self) -> str:
        """The given name, or the one made from operation and column."""
        return self.name or (self.operation if self.column is None else f"{self.operation}_{self.column}")


class GroupTableParams(Params):
    """What is worked out, of which rows together."""

    by: list[ColumnName] = Field(
        default_factory=list,
        max_length=16,
        description="Columns: one row for each different combination of their values. Left out, one row of all.",
    )
    operations: list[TableOperation] = Field(
        min_length=1, max_length=64, description="What to work out; each becomes one column of the result."
    )

    @model_validator(mode="after")
    def _names_are_distinct(self) -> Self:
        names = [*self.by, *(operation.result_name for operation in self.operations)]
        if len(names) != len(set(names)):
            raise ValueError("Two columns of the result have the same name; give one operation another `name`.")
        return self


@node(
    "table.group",
    kind="item",
    params=GroupTableParams,
    heavy=True,
    examples=[
        Example(
            title="Turnover by country",
            params={
                "by": ["country"],
                "operations": [{"operation": "sum", "column": "total", "name": "turnover"}, {"operation": "count"}],
            },
            given=[{"rows": 3, "columns": ["country", "total"]}],
            tables=[[{"country": "DE", "total": 5}, {"country": "FR", "total": 1}, {"country": "DE", "total": 7}]],
            expect={"main": [{"rows": 2, "columns": ["country", "turnover", "count"]}]},
            makes=[[{"country": "DE", "turnover": 12, "count": 2}, {"country": "FR", "turnover": 1, "count": 1}]],
        )
    ],
)
async def group_table(call: Call[GroupTableParams]) -> Item:
    """Work out counts, sums and extremes of the rows, or by group; the much smaller table leaves by `main`.

    Groups stand in the order in which they first appear; null is a group of its own, and nulls count nowhere else. It
    needs the extra `tables`.
    """
    params = call.params
    table = await read_table(call.blobs, call.item)
    for name in [*params.by, *(operation.column for operation in params.operations if operation.column)]:
        column(table, name)
    asked = [([], "count_all") if one.column is None else (one.column, one.operation) for one in params.operations]
    with told_as("The rows cannot be grouped so"):
        # In one thread: only then do the groups have an order.
        grouped = table.group_by(params.by, use_threads=False).aggregate(asked)
    # Arrow has names of its own for the results, which stand behind the groups.
    names = [*params.by, *(one.result_name for one in params.operations)]
    return await with_table(call.blobs, grouped.rename_columns(names), call.item)
