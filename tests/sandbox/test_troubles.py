"""Errors of code on their way: what a node raises for what a worker reports."""

from typing import Any

import pytest

from budflow.model.sandbox import CodeFailed
from budflow.sandbox.troubles import error_of, rebuild


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({}, ""),
        ({"line": 52}, " (line 52)"),
        ({"line": 52, "item": 3}, " (line 52; item 3)"),
        ({"line": 2, "traceback": ["line 9", "line 2, in total"]}, " (line 2, in total, called from line 9)"),
    ],
)
def test_the_place_in_the_authors_code_stands_in_the_message_once(fields: dict[str, Any], place: str) -> None:
    error = error_of({"code": "code.failed", "message": "no", **fields})
    passed_on = error_of({"code": "code.failed", "message": error.message, **fields})

    assert error.message == f"no{place}"
    assert passed_on.message == error.message
    assert passed_on.details == error.details


def test_an_error_that_came_over_a_link_is_the_one_that_was_raised() -> None:
    error = error_of({"code": "code.failed", "message": "no", "line": 52})

    built = rebuild({"code": error.code, "message": error.message, "hint": error.hint, "details": error.details})

    assert type(built) is CodeFailed
    assert (built.message, built.hint, built.details) == (error.message, error.hint, error.details)
