"""table.to_items"""

from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa

from budflow.nodes.table.arrow import ColumnUnknown, TypeMismatch
from budflow.nodes.table.to_items import TableTooLong
from tests.nodes.tables import Tables

TYPE = "table.to_items"


def test_each_row_comes_from_the_item_that_carried_it() -> None:
    tables = Tables()

    ran = tables.run(TYPE, [tables.item([{"n": 1}, {"n": 2}]), tables.item([]), tables.item([{"n": 3}])])

    assert ran.ports == {"main": [{"n": 1}, {"n": 2}, {"n": 3}]}
    assert ran.lineage == {"main": [0, 0, 2]}


def test_what_json_has_not_becomes_text() -> None:
    tables = Tables()
    row = {"at": datetime(2030, 1, 2, 3, tzinfo=UTC), "price": Decimal("1.50"), "nothing": None, "list": [1, 2]}

    ran = tables.run(TYPE, [tables.item([row])])

    assert ran.ports["main"] == [{"at": "2030-01-02T03:00:00+00:00", "price": "1.50", "nothing": None, "list": [1, 2]}]


def test_bytes_can_be_left_out() -> None:
    tables = Tables()
    item = tables.item(pa.table({"n": [1], "raw": [b"\xff"]}))

    assert isinstance(tables.run(TYPE, [item]).failed[0], TypeMismatch)
    assert tables.run(TYPE, [item], columns=["n"]).ports == {"main": [{"n": 1}]}


def test_a_misspelt_column_is_found() -> None:
    tables = Tables()

    failed = tables.run(TYPE, [tables.item([{"amount": 1}])], columns=["amuont"]).failed[0]

    assert isinstance(failed, ColumnUnknown)
    assert failed.message == "The table has no column `amuont`; did you mean `amount`? It has amount."


def test_there_is_a_limit_to_the_rows() -> None:
    tables = Tables()

    failed = tables.run(TYPE, [tables.item([{"n": 1}, {"n": 2}])], rows_max=1).failed[0]

    assert isinstance(failed, TableTooLong)
    assert failed.message == "The table has 2 rows; at most 1 become items."
