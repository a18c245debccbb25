"""table.to_items: make an item of each row of a table."""

from collections.abc import AsyncGenerator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import orjson
from pydantic import Field

from budflow.errors import BudflowError
from budflow.model.failure import NodeError
from budflow.model.item import Json
from budflow.model.node import PART_ITEMS, Batch, Example, Outputs, Params, node
from budflow.nodes.table.arrow import ColumnName, TypeMismatch, column, read_table


class TableTooLong(NodeError):
    """The table has too many rows to make items of."""

    code = "table.too_long"
    hint = "Reduce it before with `table.filter` or `table.group`, or raise `rows_max`."


class ToItemsParams(Params):
    """What of the table."""

    columns: list[ColumnName] | None = Field(
        default=None, min_length=1, max_length=1_000, description="Columns that become fields. Left out, all of them."
    )
    rows_max: int = Field(
        default=100_000,
        ge=1,
        le=1_000_000,
        description="A table with more rows fails: work on it as a table, which takes a fraction of the room and time.",
    )


@node(
    "table.to_items",
    kind="list",
    params=ToItemsParams,
    heavy=True,
    examples=[
        Example(
            title="Rows as items",
            params={"columns": ["name"]},
            given=[{"rows": 2, "columns": ["name", "age"]}],
            tables=[[{"name": "Ada", "age": 36}, {"name": "Bo", "age": 7}]],
            expect={"main": [{"name": "Ada"}, {"name": "Bo"}]},
        )
    ],
)
async def table_to_items(batch: Batch[ToItemsParams]) -> AsyncGenerator[Outputs, None]:
    """Make an item of each row of the tables that the items carry; they leave by `main`, in order.

    Times become texts (ISO 8601), and so do decimal numbers and lengths of time. A column of bytes cannot be a field:
    leave it out by `columns`. It needs the extra `tables`.
    """
    for index, params in batch.each():
        outputs = Outputs()
        try:
            table = await read_table(batch.blobs, batch.items[index])
            if table.num_rows > params.rows_max:
                raise TableTooLong(f"The table has {table.num_rows:,} rows; at most {params.rows_max:,} become items.")
            chosen = {name: column(table, name) for name in params.columns or table.column_names}
            for part in table.select([*chosen]).to_batches(max_chunksize=PART_ITEMS):
                for row in _rows(part):
                    outputs.emit("main", row, index)
                yield outputs
                outputs = Outputs()
        except BudflowError as error:
            outputs.fail(index, error)
        yield outputs


def _rows(part: Any) -> list[Json]:
    try:
        rows: list[Json] = orjson.loads(orjson.dumps(part.to_pylist(), default=_text))
    except orjson.JSONEncodeError as error:
        raise TypeMismatch(f"A column cannot be a field of an item: {error}.") from error
    return rows


def _text(value: object) -> str:
    if isinstance(value, Decimal | timedelta):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not JSON")
