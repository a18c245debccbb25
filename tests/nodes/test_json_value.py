"""JSON values: one order over all types, and equality by JSON's types."""

from datetime import date
from random import Random

import pytest
from hypothesis import given, strategies as st

from budflow.nodes.json_value import equality_key, is_number, kind_of, order_key

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def test_types_stand_in_one_order() -> None:
    ordered = [None, False, True, -1.5, 2, 10, "10", "9", "B", "a", [], [1], [1, "x"], [2], {}, {"a": 1}, {"a": 2}]

    shuffled = Random(7).sample(ordered, len(ordered))

    assert sorted(shuffled, key=order_key) == ordered


@given(st.lists(ANY_JSON, max_size=8))
def test_any_values_can_be_sorted_and_made_unique(values: list[object]) -> None:
    assert len(sorted(values, key=order_key)) == len(values)
    assert len({equality_key(value) for value in values}) <= len(values)


@pytest.mark.parametrize(
    ("one", "other"),
    [(1, 1.0), ([1, {"a": 2}], [1.0, {"a": 2}]), ({"a": 1, "b": 2}, {"b": 2, "a": 1}), (None, None), ("", "")],
)
def test_equal_values_have_equal_keys(one: object, other: object) -> None:
    assert equality_key(one) == equality_key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [(1, True), (0, False), (1, "1"), ([], {}), ([1, 2], [2, 1]), (None, ""), ([True], [1]), ("a", ["a"])],
)
def test_different_values_have_different_keys(one: object, other: object) -> None:
    assert equality_key(one) != equality_key(other)


def test_a_boolean_is_no_number() -> None:
    assert is_number(1)
    assert is_number(1.5)
    assert not is_number(True)
    assert not is_number("1")


def test_kinds_have_names_for_messages() -> None:
    assert [kind_of(value) for value in (None, True, 1, "", [], {})] == [
        "null",
        "a boolean",
        "a number",
        "a text",
        "a list",
        "an object",
    ]


def test_what_only_expressions_know_is_compared_as_text() -> None:
    early, late = date(2030, 1, 2), date(2030, 1, 10)

    assert sorted([late, {}, early], key=order_key) == [{}, early, late]
    assert equality_key(early) == equality_key(date(2030, 1, 2)) != equality_key(late)
