"""table.add_column"""

from typing import Any

import pytest

from budflow.nodes.table.arrow import ColumnUnknown, TypeMismatch
from tests.nodes.tables import Tables

TYPE = "table.add_column"
ROWS = [{"a": 6, "b": 4, "text": "x"}, {"a": 1, "b": None, "text": "y"}]


def made(operator: str, right: Any, *, name: str = "new", left: str = "a") -> list[Any]:
    tables = Tables()
    ran = tables.run(TYPE, [tables.item(ROWS)], name=name, left=left, operator=operator, right=right)
    if ran.failed:
        raise ran.failed[0]  # type: ignore[misc] # an item node's failures are errors
    return [row[name] for row in tables.rows(ran.items["main"][0])]


@pytest.mark.parametrize(
    ("operator", "right", "expected"),
    [("+", "b", [10, None]), ("-", 1, [5, 0]), ("*", 0.5, [3.0, 0.5]), ("/", "b", [1.5, None]), ("/", 4, [1.5, 0.25])],
)
def test_columns_and_numbers(operator: str, right: Any, expected: list[Any]) -> None:
    assert made(operator, right) == expected


def test_a_column_that_is_there_is_replaced_in_its_place() -> None:
    tables = Tables()

    ran = tables.run(TYPE, [tables.item(ROWS)], name="a", left="a", operator="*", right=2)

    assert ran.ports["main"] == [{"rows": 2, "columns": ["a", "b", "text"]}]
    assert [row["a"] for row in tables.rows(ran.items["main"][0])] == [12, 2]


def test_texts_cannot_be_multiplied() -> None:
    with pytest.raises(TypeMismatch, match=r"`text \* 2` cannot be worked out: "):
        made("*", 2, left="text")


def test_a_result_that_is_too_large_fails() -> None:
    with pytest.raises(TypeMismatch, match="overflow"):
        made("*", 2**62)


def test_a_misspelt_column_on_the_right_is_found() -> None:
    with pytest.raises(ColumnUnknown, match="did you mean `text`"):
        made("+", "txt")
