"""data.sort."""

from typing import Any

import pytest
from pydantic import ValidationError

from budflow.nodes.data.sort import SortParams
from tests.nodes.harness import run


def order(values: list[Any], **key: Any) -> list[Any]:
    items = [{} if value is ... else {"v": value} for value in values]
    ran = run("data.sort", {"by": [{"field": "v", **key}]}, items)
    return [item.get("v", ...) for item in ran.ports.get("main", [])]


def test_numbers_are_in_order_of_size_both_ways() -> None:
    assert order([3, 1.5, -2, 10]) == [-2, 1.5, 3, 10]
    assert order([3, 1.5, -2, 10], order="desc") == [10, 3, 1.5, -2]


def test_missing_and_null_come_last_both_ways() -> None:
    assert order([None, 2, ..., 1]) == [1, 2, None, ...]
    assert order([None, 2, ..., 1], order="desc") == [2, 1, None, ...]


def test_mixed_types_have_an_order() -> None:
    assert order([{"a": 1}, "9", [2], 10, True, "10", False, None]) == [False, True, 10, "10", "9", [2], {"a": 1}, None]


def test_equal_items_keep_their_order_both_ways() -> None:
    given = [{"v": 1, "n": n} for n in range(50)]

    for direction in ("asc", "desc"):
        ran = run("data.sort", {"by": [{"field": "v", "order": direction}]}, given)
        assert ran.lineage["main"] == list(range(50))


def test_a_later_field_decides_between_equals() -> None:
    given = [{"a": 1, "b": {"c": 1}}, {"a": 2, "b": {"c": 1}}, {"a": 1, "b": {"c": 2}}]

    ran = run("data.sort", {"by": [{"field": "a"}, {"field": "b.c", "order": "desc"}]}, given)

    assert ran.lineage["main"] == [2, 0, 1]


def test_nothing_is_sorted_to_nothing() -> None:
    assert order([]) == []


@pytest.mark.parametrize("by", [[], [{"field": ""}], [{"field": "a", "order": "up"}], [{"field": "a"}] * 17])
def test_an_order_that_means_nothing_is_refused(by: list[Any]) -> None:
    with pytest.raises(ValidationError):
        SortParams.model_validate({"by": by})
