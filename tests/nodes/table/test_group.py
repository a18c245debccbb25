"""table.group"""

from typing import Any

import pytest

from budflow.graph.params import ParamsInvalid
from budflow.nodes.table.arrow import ColumnUnknown, TypeMismatch
from tests.nodes.tables import Tables

TYPE = "table.group"
ROWS = [{"g": "b", "n": 1, "t": "x"}, {"g": None, "n": 2, "t": "y"}, {"g": "b", "n": None, "t": "x"}]


def grouped(*operations: dict[str, Any], by: list[str] | None = None) -> list[Any]:
    tables = Tables()
    ran = tables.run(TYPE, [tables.item(ROWS)], by=by or [], operations=list(operations))
    if ran.failed:
        raise ran.failed[0]  # type: ignore[misc] # an item node's failures are errors
    return tables.rows(ran.items["main"][0])


def test_without_groups_there_is_one_row() -> None:
    operations = ("sum", "mean", "min", "max", "count_distinct", "count")

    assert grouped(*({"operation": one, "column": "n"} for one in operations), {"operation": "count"}) == [
        {"sum_n": 3, "mean_n": 1.5, "min_n": 1, "max_n": 2, "count_distinct_n": 2, "count_n": 2, "count": 3}
    ]


def test_groups_stand_as_they_first_appear_and_null_is_one() -> None:
    assert grouped({"operation": "count", "name": "rows"}, by=["g"]) == [{"g": "b", "rows": 2}, {"g": None, "rows": 1}]


def test_the_same_operation_may_be_wanted_twice() -> None:
    twice = [{"operation": "sum", "column": "n", "name": name} for name in ("one", "two")]

    assert grouped(*twice) == [{"one": 3, "two": 3}]


def test_a_column_may_have_the_name_that_arrow_gives_a_result() -> None:
    tables = Tables()
    item = tables.item([{"n_sum": "a", "n": 1}, {"n_sum": "a", "n": 2}])

    ran = tables.run(TYPE, [item], by=["n_sum"], operations=[{"operation": "sum", "column": "n"}])

    assert tables.rows(ran.items["main"][0]) == [{"n_sum": "a", "sum_n": 3}]


def test_texts_cannot_be_added_up() -> None:
    with pytest.raises(TypeMismatch, match="The rows cannot be grouped so: "):
        grouped({"operation": "sum", "column": "t"})


def test_a_misspelt_column_is_found() -> None:
    with pytest.raises(ColumnUnknown):
        grouped({"operation": "count"}, by=["group"])


@pytest.mark.parametrize(
    "operations",
    [[{"operation": "sum"}], [{"operation": "count"}, {"operation": "sum", "column": "n", "name": "count"}]],
)
def test_operations_that_make_no_sense_are_refused(operations: list[dict[str, Any]]) -> None:
    with pytest.raises(ParamsInvalid):
        grouped(*operations)
