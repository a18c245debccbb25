"""The second lock refuses whatever the policy would have left as it was."""

import ast

import pytest

from budflow.expressions.seal import Refused, check_sealed


@pytest.mark.parametrize(
    "expression",
    [
        "1",
        "lambda _scope: _scope.json.name",
        "lambda _scope: ''.__class__",
        "lambda _scope: _scope.json[0]",
        "lambda _scope: 1 + 1",
        "lambda _scope: 1 < 2",
        "lambda _scope: f'{1}'",
        "lambda _scope: getattr(_scope, 'x')",
        "lambda _scope: _scope.names()",
        "lambda _scope: (yield)",
        "lambda _scope: (x := 1)",
        "lambda _scope: (x for x in [])",
    ],
)
def test_only_calls_of_hooks_are_left(expression: str) -> None:
    with pytest.raises(Refused):
        check_sealed(ast.parse(expression, mode="eval"), {"_add_"})


def test_calls_of_hooks_pass() -> None:
    check_sealed(ast.parse("lambda _scope: [_add_(_scope.json, x) for x in (1, 2) if not x]", mode="eval"), {"_add_"})
