"""Types of values as authors declare them."""

from typing import Any, get_args

import pytest

from budflow.nodes.typed_value import WORDS, ValueType, is_of_type

FITTING: dict[ValueType, list[Any]] = {
    "string": ["", "3"],
    "number": [0, 2.5, 3.0],
    "integer": [0, -7, 3.0],
    "boolean": [True, False],
    "object": [{}, {"a": 1}],
    "array": [[], [1]],
}
VALUES = ["", "3", 0, 2.5, 3.0, -7, True, False, {}, {"a": 1}, [], [1], None]


@pytest.mark.parametrize("wanted", FITTING)
def test_a_type_takes_its_values_and_no_others(wanted: ValueType) -> None:
    taken = [value for value in VALUES if is_of_type(value, wanted)]

    assert all(any(value is found or value == found for found in taken) for value in FITTING[wanted])
    assert all(type(value) in {type(found) for found in FITTING[wanted]} for value in taken)


def test_half_a_number_is_not_whole() -> None:
    assert not is_of_type(2.5, "integer")


def test_any_takes_everything_but_nothing() -> None:
    assert [value for value in VALUES if not is_of_type(value, "any")] == [None]


def test_every_type_has_its_words() -> None:
    assert set(WORDS) == set(get_args(ValueType))
