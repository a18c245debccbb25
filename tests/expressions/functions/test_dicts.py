"""Functions on dicts."""

import pytest

from budflow.expressions.evaluate import ExpressionFailed
from tests.expressions.conftest import Evaluate


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("$json.get('name'), $json.get('zzz'), $json.get('zzz', 1)", ["Ada", None, 1]),
        ("$json.has('name'), $json.has('zzz')", [True, False]),
        ("{'a': 1}.keys(), {'a': 1}.values(), {'a': 1}.items(), {'a': 1}.length()", [["a"], [1], [["a", 1]], 1]),
        ("{'a': 1, 'b': 2}.pick('a', 'z'), {'a': 1, 'b': 2}.omit('a')", [{"a": 1}, {"b": 2}]),
        ("{'a': 1, 'b': 2}.merge({'b': 3})", {"a": 1, "b": 3}),
        ("{'a': 1, 'b': 2}.rename('a', 'c')", {"c": 1, "b": 2}),
        (
            "dict([('a', 1)]), dict({'a': 1}, b=2), dict(zip('ab', [1, 2]))",
            [{"a": 1}, {"a": 1, "b": 2}, {"a": 1, "b": 2}],
        ),
        ("$node.fetch.has('json'), $node.fetch.get('x', 1), $node.fetch.length()", [True, 1, 2]),
    ],
)
def test_dicts(expression: str, value: object, evaluate: Evaluate) -> None:
    assert evaluate(expression) == value


@pytest.mark.parametrize("expression", ["$json.get([])", "$json.merge(1)", "dict([1])", "dict(1)", "$json.omit({})"])
def test_arguments_of_the_wrong_kind_are_explained(expression: str, evaluate: Evaluate) -> None:
    with pytest.raises(ExpressionFailed):
        evaluate(expression)
