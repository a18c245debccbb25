"""JMESPath finds what it is asked for, and is refused what would grow."""

import pytest

from budflow.expressions.evaluate import ExpressionFailed
from tests.expressions.conftest import Evaluate


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        (
            "jmespath($json, 'rows[?kind==\\'x\\'].n | sort(@)'), jmespath($json, 'nope'), jmespath([1, 2], 'sum(@)')",
            [[2, 3], None, 3],
        ),
        (
            "jmespath($json, '{a: name, b: rows[*].n | max(@)}'), jmespath({'t': $now}, 't')",
            [{"a": "Ada", "b": 3}, "2026-01-31T13:05:09+00:00"],
        ),
        (
            "jmespath($json, 'deep.a.b[].c[]'), jmespath({'a': {'b': 1}}, 'to_string(a)'), jmespath((1, 2), '[0]')",
            [[1, 10, 20], '{"b":1}', 1],
        ),
    ],
)
def test_what_they_give(expression: str, value: object, evaluate: Evaluate) -> None:
    assert evaluate(expression) == value


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("jmespath($json, 'a[')", "is not JMESPath"),
        ("jmespath($json, 'zzz(@)')", "zzz"),
        ("jmespath($json, 'sum(name)')", "does not fit the data"),
        ("jmespath($json, 1)", "must be a text"),
        ("jmespath($json, 'a' * 1001)", "1,000 characters"),
        ("jmespath([range(100)] * 100, '|'.join(['[@,@][]'] * 30))", "too much for data of this size"),
        ("jmespath(range(1000), '|'.join(['[@,@]'] * 30) + '|to_string(@)')", "too much for data of this size"),
        ("jmespath({'g': 'x' * 1000, 'l': ['a'] * 1000}, 'join(g, l)')", "too much for data of this size"),
        (
            "jmespath(range(1000), 'not_null(a, a, ' + '|'.join(['[@,@]'] * 30) + ') | to_string(@)')",
            "too much for data of this size",
        ),
        (
            "jmespath(range(1000), 'map(&(' + '|'.join(['[@,@]'] * 30) + '), @) | to_string(@)')",
            "too much for data of this size",
        ),
        ("jmespath(1, '(' * 500)", "is not JMESPath"),
        ("jmespath(1, '!' * 100 + 'a')", "nested at most 40 deep"),
        ("jmespath({'a': $secrets.token}, 'a')", "secret"),
    ],
)
def test_what_they_cannot_do_is_explained(expression: str, told: str, evaluate: Evaluate) -> None:
    with pytest.raises(ExpressionFailed) as caught:
        evaluate(expression)
    assert told in f"{caught.value.message} {caught.value.hint}"
