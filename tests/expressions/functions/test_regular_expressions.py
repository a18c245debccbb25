"""Regular expressions take linear time, and say what they do not have."""

import pytest

from budflow.expressions.evaluate import ExpressionFailed
from tests.expressions.conftest import Evaluate


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("'Ünï 12'.regex_find(r'\\d+'), 'Ünï 12'.regex_find(r'\\pL+')", ["12", "Ünï"]),
        (
            "'aXbxc'.regex_split('x', ignore_case=True), 'a1b2c'.regex_split(r'\\d', limit=1), 'ab'.regex_split('')",
            [["a", "b", "c"], ["a", "b2c"], ["ab"]],
        ),
        ("'ab'.regex_replace('', '-'), 'äö'.regex_replace('', '-')", ["-a-b-", "-ä-ö-"]),
        ("'ab'.regex_replace('(a)(b)?', r'\\2\\1\\0'), 'a'.regex_replace('(?P<x>a)', r'<\\g<x>>')", ["baab", "<a>"]),
        ("'aaa'.regex_replace('a', 'b', limit=2), 'a'.regex_replace('a', r'\\\\1')", ["bba", "\\1"]),
        ("'a'.regex_find('(a)|(b)'), 'x'.regex_groups('(?P<y>y)'), 'a'.regex_groups('a')", [["a", None], None, {}]),
        ("'a b'.regex_full('a'), 'a b'.regex_full('a b'), ''.regex_test('^$')", [False, True, True]),
        (
            "'a\\nb'.regex_find_all('(?m)^.'), 'a\\nb'.regex_test('a.b'), 'a\\nb'.regex_test('(?s)a.b')",
            [["a", "b"], False, True],
        ),
        ("'a.b*c'.regex_full(regex_escape('a.b*c')), 'axbc'.regex_full(regex_escape('a.b*c'))", [True, False]),
        ("('a' * 5000 + '!').regex_test('(a+)+$')", False),
        ("('x' * 3000).regex_test('(x+x+)+y'), ('a' * 30).regex_full('(a?){30}a{30}')", [False, True]),
    ],
)
def test_what_they_give(expression: str, value: object, evaluate: Evaluate) -> None:
    assert evaluate(expression) == value


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("'a'.regex_test('(')", "missing )"),
        ("'a'.regex_test('(?=a)')", "Look-ahead"),
        ("'a'.regex_test('(?<!a)')", "Look-behind"),
        ("'a'.regex_test(r'(a)\\1')", "Backreferences"),
        ("'a'.regex_test(1)", "a pattern is a text"),
        ("'a'.regex_test('a' * 1001)", "1,000 characters"),
        ("'a'.regex_test('((a{100}){100}){100}')", "repetition"),
        ("'a'.regex_test(r'(\\pL{100}){100}')", "repetition"),
        ("'a'.regex_replace('a', r'\\1')", "no group"),
        ("'a'.regex_replace('(?P<name>a)', r'\\g<nmae>')", 'Did you mean "name"?'),
        ("('a' * 100000).regex_test('(a|b)*c{900}')", "too much for a text"),
        ("('a' * 200000).regex_find_all('a*b|a')", "ms"),
        ("('a' * 1000).regex_replace('a', 'b' * 10000)", "the limit is"),
    ],
)
def test_what_they_cannot_do_is_explained(expression: str, told: str, evaluate: Evaluate) -> None:
    with pytest.raises(ExpressionFailed) as caught:
        evaluate(expression)
    assert told in f"{caught.value.message} {caught.value.hint}"
