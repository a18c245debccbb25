"""table.filter: keep the rows of a table that pass a comparison."""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from budflow.model.item import Item
from budflow.model.node import Call, Example, Params, node
from budflow.nodes.table.arrow import ColumnName, arrow, column, read_table, told_as, with_table

Operator = Literal["==", "!=", "<", "<=", ">", ">=", "in", "contains", "is_null", "is_not_null"]
#: Arrow's names.
COMPARISONS: Mapping[str, str] = {
    "==": "equal",
    "!=": "not_equal",
    "<": "less",
    "<=": "less_equal",
    ">": "greater",
    ">=": "greater_equal",
}


class FilterTableParams(Params):
    """Which rows are kept."""

    column: ColumnName = Field(description="The column that is compared.")
    operator: Operator = Field(
        description="How: `in` a list of values, `contains` a text, `is_null` and `is_not_null` without a value, the "
        "others as they are written. A null passes `is_null` alone."
    )
    value: Any = Field(
        default=None,
        description="What with. Times are texts such as 2030-01-31T12:00:00; for `in` it is a list.",
    )

    @model_validator(mode="after")
    def _has_its_value(self) -> Self:
        if self.value is None and not self.operator.endswith("null"):
            raise ValueError(f"The operator `{self.operator}` needs a `value`; nulls are found by `is_null`.")
        if self.operator == "in" and not isinstance(self.value, list):
            raise ValueError("The operator `in` needs a list as its `value`.")
        return self


@node(
    "table.filter",
    kind="item",
    params=FilterTableParams,
    heavy=True,
    examples=[
        Example(
            title="The adults",
            params={"column": "age", "operator": ">=", "value": 18},
            given=[{"rows": 3, "columns": ["name", "age"]}],
            tables=[[{"name": "Ada", "age": 36}, {"name": "Bo", "age": 7}, {"name": "Cy", "age": None}]],
            expect={"main": [{"rows": 1, "columns": ["name", "age"]}]},
            makes=[[{"name": "Ada", "age": 36}]],
        ),
        Example(
            title="Some countries",
            params={"column": "country", "operator": "in", "value": ["DE", "FR"]},
            given=[{"rows": 2, "columns": ["country"]}],
            tables=[[{"country": "FR"}, {"country": "US"}]],
            expect={"main": [{"rows": 1, "columns": ["country"]}]},
            makes=[[{"country": "FR"}]],
        ),
    ],
)
async def filter_table(call: Call[FilterTableParams]) -> Item:
    """Keep the rows whose column passes a comparison; the item leaves by `main` with the table that is left.

    Several comparisons are several nodes, one behind the other. A value that cannot be compared with the column fails
    the item. It needs the extra `tables`.
    """
    table = await read_table(call.blobs, call.item)
    compared = column(table, call.params.column)
    with told_as(f"The column `{call.params.column}` ({compared.type}) cannot be compared so"):
        kept = table.filter(_mask(compared, call.params))
    return await with_table(call.blobs, kept, call.item)


def _mask(compared: Any, params: FilterTableParams) -> Any:
    pa = arrow()
    match params.operator:
        case "is_null":
            return pa.compute.is_null(compared)
        case "is_not_null":
            return pa.compute.is_valid(compared)
        case "contains":
            return pa.compute.match_substring(compared, str(params.value))
        case "in":
            return pa.compute.is_in(compared, value_set=pa.array(params.value).cast(compared.type))
        case comparison:
            value = pa.scalar(params.value)
            if pa.types.is_string(value.type):  # So that times, which JSON has as texts, are compared as times.
                value = value.cast(compared.type)
            return getattr(pa.compute, COMPARISONS[comparison])(compared, value)
