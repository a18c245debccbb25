"""The call table is found, read-only and documented."""

import pytest

from budflow.expressions.declare import Function
from budflow.expressions.table import table

EVERY = [
    pytest.param(function, id=f"{family}{function.usage}")
    for family, functions in table().families.items()
    for function in functions
]


def test_the_families_are_the_files() -> None:
    assert set(table().families) == {"dicts", "lists", "numbers", "text", "times"}


@pytest.mark.parametrize("function", EVERY)
def test_every_function_says_in_one_line_what_it_does(function: Function) -> None:
    assert function.doc.endswith(".")
    assert "\n" not in (function.call.__doc__ or "")
    assert "budget" not in function.usage


def test_nothing_can_be_added_to_the_table() -> None:
    with pytest.raises(TypeError):
        table().functions["evil"] = len  # type: ignore[index]  # That it is refused is the subject.
    with pytest.raises(TypeError):
        table().methods[str]["evil"] = len  # type: ignore[index]  # as above
