"""Paths name a place in data by keys and indices."""

import pytest

from budflow.expressions.budget import Budget, Fault
from budflow.expressions.paths import NOTHING, parse_path, read_path, with_path


@pytest.mark.parametrize(
    ("path", "steps"),
    [
        ("a", ["a"]),
        ("a.b[0]", ["a", "b", 0]),
        ("[1][-1]", [1, -1]),
        ('a["x.y"]', ["a", "x.y"]),
        ("['k'].first name", ["k", "first name"]),
        ("a.0", ["a", "0"]),
    ],
)
def test_a_path_is_keys_and_indices(path: str, steps: list[str | int]) -> None:
    assert parse_path(path) == steps


@pytest.mark.parametrize("path", ["", ".", "a.", "a..b", "a[", "a[b]", "a]", "a[0]b", None, 1, "a" * 2000])
def test_what_is_no_path_is_refused(path: object) -> None:
    with pytest.raises(Fault):
        parse_path(path)


def test_reading_ends_at_the_first_step_that_is_not_there() -> None:
    data = {"a": [{"b": None}], "t": "text"}
    assert read_path(Budget(), data, "a[0].b", "none") is None
    assert read_path(Budget(), data, "a[1].b", "none") == "none"
    assert read_path(Budget(), data, "t[0]", "none") == "none"


def test_writing_copies_the_way_there_and_leaves_the_data() -> None:
    data = {"a": {"b": 1}, "c": {"d": 1}}
    made = with_path(Budget(), data, ["a", "b"], 2)
    assert made == {"a": {"b": 2}, "c": {"d": 1}}
    assert data == {"a": {"b": 1}, "c": {"d": 1}}
    assert isinstance(made, dict)
    assert made["c"] is data["c"]


def test_taking_out_what_is_not_there_changes_nothing() -> None:
    assert with_path(Budget(), {"a": [1]}, ["a", 5], NOTHING) == {"a": [1]}
    assert with_path(Budget(), {"a": 1}, ["b", "c"], NOTHING) == {"a": 1}
