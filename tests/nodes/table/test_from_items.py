"""table.from_items"""

import pytest

from budflow.nodes.table import from_items as module
from budflow.nodes.table.arrow import TypeMismatch
from tests.nodes.tables import Tables

TYPE = "table.from_items"


def test_it_makes_one_item_that_comes_from_none_of_the_others() -> None:
    ran = Tables().run(TYPE, [{"n": 1}, {"n": 2}])

    assert ran.ports == {"main": [{"rows": 2, "columns": ["n"]}]}
    assert ran.lineage == {"main": [-1]}


def test_fields_that_come_late_are_columns_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PART_ROWS", 2)
    tables = Tables()

    ran = tables.run(TYPE, [{"a": 1}, {"a": 2}, {"a": 2.5, "b": "x"}])

    assert tables.rows(ran.items["main"][0]) == [{"a": 1.0, "b": None}, {"a": 2.0, "b": None}, {"a": 2.5, "b": "x"}]


def test_objects_and_lists_are_kept() -> None:
    tables = Tables()
    rows = [{"at": {"city": "Ulm"}, "tags": ["a", "b"]}, {"at": {"city": None}, "tags": []}]

    assert tables.rows(tables.run(TYPE, rows).items["main"][0]) == rows


def test_a_field_that_no_item_has_is_a_column_of_nulls() -> None:
    tables = Tables()

    ran = tables.run(TYPE, [{"a": 1}], columns=["missing"])

    assert tables.rows(ran.items["main"][0]) == [{"missing": None}]


def test_values_that_do_not_go_together_are_told_with_their_field() -> None:
    with pytest.raises(TypeMismatch, match="The field `total` cannot be a column: "):
        Tables().run(TYPE, [{"total": 1}, {"total": "two"}])


def test_they_are_told_too_where_they_come_far_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PART_ROWS", 1)

    with pytest.raises(TypeMismatch, match="The items do not go together: "):
        Tables().run(TYPE, [{"total": 1}, {"total": "two"}])
