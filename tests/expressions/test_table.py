"""The call table is found, read-only and documented."""

from pathlib import Path

import pytest

from budflow.expressions import functions
from budflow.expressions.declare import Function
from budflow.expressions.table import table

EVERY = [
    pytest.param(function, id=f"{family}{function.usage}")
    for family, declared in table().families.items()
    for function in declared
]


def test_the_families_are_the_files() -> None:
    files = {path.stem for path in Path(functions.__path__[0]).glob("[a-z]*.py")}
    assert set(table().families) == files


def test_every_family_says_in_one_line_what_it_is_about() -> None:
    for family, about in table().about.items():
        assert about.endswith("."), family
        assert "\n" not in about, family


def test_no_function_is_in_two_families() -> None:
    declared = [function for family in table().families.values() for function in family]
    assert len(declared) == len({id(function) for function in declared})


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
