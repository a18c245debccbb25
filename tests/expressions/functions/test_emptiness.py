"""What counts as nothing, and what stands in for it."""

import pytest

from budflow.expressions.evaluate import ExpressionFailed
from tests.expressions.conftest import Evaluate


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("if_empty({}, 1), if_empty(0, 1), if_empty(False, 1), if_empty(set(), 1)", [1, 0, False, 1]),
        ("coalesce(), coalesce(None, 0, 1), first_filled(None, '', 0), first_filled()", [None, 0, 0, None]),
        ("switch('x', {'x': 1}), switch([1], {'x': 1}, 2), none_if(1, 1.0), none_if('1', 1)", [1, 2, None, "1"]),
        (
            "type_of($node.fetch.items), type_of($json), type_of({1}), type_of(duration(days=1)), type_of(True)",
            ["list", "dict", "set", "duration", "bool"],
        ),
        ("is_empty($json.none), $now.is_empty(), (0).is_empty(), {1}.is_not_empty()", [True, False, False, True]),
    ],
)
def test_what_they_give(expression: str, value: object, evaluate: Evaluate) -> None:
    assert evaluate(expression) == value


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("switch(1, 2)", "cases must be a dict"),
        ("coalesce($secrets.token)", "secret"),
    ],
)
def test_what_they_cannot_do_is_explained(expression: str, told: str, evaluate: Evaluate) -> None:
    with pytest.raises(ExpressionFailed) as caught:
        evaluate(expression)
    assert told in f"{caught.value.message} {caught.value.hint}"
