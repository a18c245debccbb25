"""table.filter"""

from datetime import UTC, datetime
from typing import Any

import pytest

from budflow.graph.params import ParamsInvalid
from budflow.nodes.table.arrow import ColumnUnknown, TypeMismatch
from tests.nodes.tables import Tables

TYPE = "table.filter"


def kept(values: list[Any], operator: str, value: Any = None) -> list[Any]:
    tables = Tables()
    ran = tables.run(TYPE, [tables.item([{"x": one} for one in values])], column="x", operator=operator, value=value)
    assert not ran.failed, ran.failed
    return [row["x"] for row in tables.rows(ran.items["main"][0])]


@pytest.mark.parametrize(
    ("operator", "value", "expected"),
    [
        ("==", 2, [2]),
        ("!=", 2, [1, 3]),
        ("<", 2, [1]),
        ("<=", 2, [1, 2]),
        (">", 2, [3]),
        (">=", 1.5, [2, 3]),
        ("in", [3, 9], [3]),
        ("is_null", None, [None]),
        ("is_not_null", None, [1, 2, 3]),
    ],
)
def test_numbers(operator: str, value: Any, expected: list[Any]) -> None:
    assert kept([1, 2, None, 3], operator, value) == expected


def test_texts() -> None:
    assert kept(["Ulm", "Bonn", None], "contains", "on") == ["Bonn"]
    assert kept(["Ulm", "Bonn", None], "<", "C") == ["Bonn"]


def test_times_are_compared_with_texts() -> None:
    early, late = datetime(2030, 1, 1, tzinfo=UTC), datetime(2030, 2, 1, tzinfo=UTC)

    assert kept([early, late], ">=", "2030-01-15T00:00:00Z") == [late]
    assert kept([early, late], "in", ["2030-01-01T00:00:00Z"]) == [early]
    assert kept([early.date(), late.date()], "<", "2030-01-15") == [early.date()]


def test_nothing_that_passes_is_a_table_without_rows() -> None:
    assert kept([1, 2], ">", 9) == []


def test_the_rest_of_the_item_stays() -> None:
    tables = Tables()

    ran = tables.run(TYPE, [tables.item([{"x": 1}], {"about": "it"})], column="x", operator="==", value=1)

    assert ran.ports == {"main": [{"about": "it", "rows": 1, "columns": ["x"]}]}


def test_what_cannot_be_compared_is_told_with_the_type_of_the_column() -> None:
    tables = Tables()

    failed = tables.run(TYPE, [tables.item([{"x": 1}])], column="x", operator="==", value="one").failed[0]

    assert isinstance(failed, TypeMismatch)
    assert failed.message.startswith("The column `x` (int64) cannot be compared so: ")


def test_a_misspelt_column_is_found() -> None:
    tables = Tables()

    failed = tables.run(TYPE, [tables.item([{"name": 1}])], column="nmae", operator="is_null").failed[0]

    assert isinstance(failed, ColumnUnknown)
    assert "did you mean `name`?" in failed.message


@pytest.mark.parametrize(("operator", "value"), [("==", None), ("in", 3)])
def test_a_comparison_needs_its_value(operator: str, value: Any) -> None:
    tables = Tables()

    with pytest.raises(ParamsInvalid):
        raise tables.run(TYPE, [tables.item([{"x": 1}])], column="x", operator=operator, value=value).failed[0]
