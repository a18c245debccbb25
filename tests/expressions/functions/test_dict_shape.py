"""Paths into dicts, and their other shapes."""

import pytest

from budflow.expressions.evaluate import ExpressionFailed
from tests.expressions.conftest import Evaluate


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        (
            "{}.set_path('a[1].b', 1), {'a': 1}.set_path('b', 2), {'a': [1]}.set_path('a[-1]', 2)",
            [{"a": [None, {"b": 1}]}, {"a": 1, "b": 2}, {"a": [2]}],
        ),
        (
            "{'a': [1, 2]}.without_path('a[0]'), {'a': 1}.without_path('x.y'), {'a': 1}.without_path('a')",
            [{"a": [2]}, {"a": 1}, {}],
        ),
        (
            "{'a.b': 1}.get_path('[\"a.b\"]'), $json.get_path('deep.a.b[1].c[-1]'), $json.get_path('none.x', 0)",
            [1, 20, 0],
        ),
        ("{'a': {'b': 0}}.has_path('a.b'), {}.has_path('a'), {'a b': 1}.get_path('a b')", [True, False, 1]),
        (
            "{'a': {'x': 1}}.merge_deep({'a': 2}), {'a': 1}.merge_deep({'b': {'c': 1}})",
            [{"a": 2}, {"a": 1, "b": {"c": 1}}],
        ),
        (
            "{'a': 1}.changes({'a': 1}), {'a': None}.changes({}), {'a': 1}.find_key(9, 'none')",
            [{}, {"a": [None, None]}, "none"],
        ),
        (
            "{'a': 1, 'b': 2}.pick(['b', 'a']), {'a': 1, 'b': 2}.omit(['b'], 'a'), $json.pick('name', 'zzz')",
            [{"b": 2, "a": 1}, {}, {"name": "Ada"}],
        ),
        (
            "{'b': 2, 'a': 1}.sort_keys().keys(), {'a': 1, 'b': 2}.sort_values(descending=True).keys()",
            [["a", "b"], ["b", "a"]],
        ),
        (
            "{'a': {}, 'b': []}.flatten(), {'a': {'b': 1}}.flatten('_'), {}.flatten()",
            [{"a": {}, "b": []}, {"a_b": 1}, {"": {}}],
        ),
        (
            "{'a_b': 1}.unflatten('_'), {'x': 1}.to_pairs(), {'A': 1}.case_keys('lower')",
            [{"a": {"b": 1}}, [{"key": "x", "value": 1}], {"a": 1}],
        ),
    ],
)
def test_what_they_give(expression: str, value: object, evaluate: Evaluate) -> None:
    assert evaluate(expression) == value


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("{}.set_path('', 1)", "a path is a text"),
        ("{}.set_path('a..b', 1)", "is not a path"),
        ("{}.get_path('a[x]')", "is not a path"),
        ("{}.set_path('a[999999]', 1)", "has no [999999]"),
        ("{'a': 1}.set_path('a.b', 2)", "is no dict"),
        ("{}.get_path('.'.join(['a'] * 60))", "50 steps"),
        ("{}.case_keys('snak')", 'Did you mean "snake"?'),
        ("{'a': 1, 'a.b': 2}.unflatten()", "both a value and something below"),
        ("{'a': 1, 'b': 'x'}.sort_values()", "numbers, or all text"),
        ("{'a': []}.invert()", "cannot be a key"),
    ],
)
def test_what_they_cannot_do_is_explained(expression: str, told: str, evaluate: Evaluate) -> None:
    with pytest.raises(ExpressionFailed) as caught:
        evaluate(expression)
    assert told in f"{caught.value.message} {caught.value.hint}"
