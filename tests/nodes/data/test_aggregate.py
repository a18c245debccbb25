"""data.aggregate."""

from typing import Any

import pytest
from pydantic import ValidationError

from budflow.nodes.data.aggregate import AggregateParams
from budflow.nodes.data.tally import NumberTooLarge
from tests.nodes.harness import run, spec_of


def work_out(operation: str, values: list[Any]) -> Any:
    params = {"operations": [{"operation": operation, "field": "v", "name": "result"}]}
    [found] = run("data.aggregate", params, [{"v": value} for value in values]).ports["main"]
    return found["result"]


@pytest.mark.parametrize(
    ("operation", "result"),
    [
        ("count", 4),
        ("sum", 8),
        ("average", 2.0),
        ("min", 1),
        ("max", 4),
        ("first", 2),
        ("last", 1),
        ("collect", [2, 4, 1, 1]),
        ("unique", [2, 4, 1]),
    ],
)
def test_an_operation_leaves_missing_values_out(operation: str, result: Any) -> None:
    assert work_out(operation, [2, None, 4, 1, 1]) == result


@pytest.mark.parametrize(
    ("operation", "result"),
    [
        ("count", 0),
        ("sum", 0),
        ("average", None),
        ("min", None),
        ("max", None),
        ("first", None),
        ("last", None),
        ("collect", []),
        ("unique", []),
    ],
)
def test_an_operation_over_nothing_has_a_result(operation: str, result: Any) -> None:
    assert work_out(operation, []) == result
    assert work_out(operation, [None, None]) == result


def test_it_runs_when_no_items_come() -> None:
    assert spec_of("data.aggregate").run_on_empty


def test_no_items_make_no_groups() -> None:
    assert run("data.aggregate", {"group_by": ["a"], "operations": [{"operation": "count"}]}, []).ports == {}


def test_sums_are_exact_for_whole_numbers_and_rounded_once_for_others() -> None:
    assert work_out("sum", [2**60, 1, 2**60]) == 2**61 + 1
    assert work_out("sum", [0.1] * 10) == 1.0


def test_counting_a_field_leaves_out_the_items_without_it() -> None:
    params = {"operations": [{"operation": "count"}, {"operation": "count", "field": "a.b"}]}

    [found] = run("data.aggregate", params, [{"a": {"b": 0}}, {"a": {}}, {}]).ports["main"]

    assert found == {"count": 3, "count_a_b": 1}


def test_groups_stand_in_the_order_of_their_first_item_at_their_own_path() -> None:
    params = {"group_by": ["c.id", "paid"], "operations": [{"operation": "count"}]}
    given = [
        {"c": {"id": "b"}, "paid": True},
        {"c": {"id": "a"}, "paid": 1},
        {"c": {"id": "b"}, "paid": True},
        {"c": {"id": "a"}, "paid": True},
        {},
        {"c": None, "paid": None},
    ]

    assert run("data.aggregate", params, given).ports["main"] == [
        {"c": {"id": "b"}, "paid": True, "count": 2},
        {"c": {"id": "a"}, "paid": 1, "count": 1},
        {"c": {"id": "a"}, "paid": True, "count": 1},
        {"c": {"id": None}, "paid": None, "count": 2},
    ]


def test_extremes_and_unique_take_any_type() -> None:
    assert work_out("max", ["a", 5, "b"]) == "b"
    assert work_out("min", ["2030-01-02", "2029-12-31"]) == "2029-12-31"
    assert work_out("unique", [1, 1.0, True, "1", [1], [1], {"a": 1}, {"a": 1}]) == [1, True, "1", [1], {"a": 1}]


def test_an_item_whose_field_is_no_number_fails_and_counts_nowhere() -> None:
    params = {"operations": [{"operation": "count"}, {"operation": "sum", "field": "v"}]}

    ran = run("data.aggregate", params, [{"v": 1}, {"v": "2"}, {"v": True}, {}])

    assert ran.ports == {"main": [{"count": 2, "sum_v": 1}], "error": [{"v": "2"}, {"v": True}]}
    assert ran.failed[1].message == "The field v holds a text and no number."


@pytest.mark.parametrize("values", [[10**400, 0.5], [float("inf"), float("-inf")]])
def test_numbers_beyond_measure_are_refused(values: list[float]) -> None:
    with pytest.raises(NumberTooLarge):
        work_out("sum", values)
    with pytest.raises(NumberTooLarge):
        work_out("average", values)


def test_the_average_of_huge_whole_numbers_is_refused() -> None:
    with pytest.raises(NumberTooLarge):
        work_out("average", [10**400])


@pytest.mark.parametrize(
    "params",
    [
        {"operations": []},
        {"operations": [{"operation": "sum"}]},
        {"operations": [{"operation": "median", "field": "a"}]},
        {"operations": [{"operation": "count"}, {"operation": "count"}]},
        {"operations": [{"operation": "count", "name": "a"}], "group_by": ["a"]},
        {"operations": [{"operation": "count", "name": "a"}], "group_by": ["a.b"]},
        {"operations": [{"operation": "count", "name": "a.b"}]},
    ],
)
def test_a_result_that_would_be_ambiguous_is_refused(params: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AggregateParams.model_validate(params)
