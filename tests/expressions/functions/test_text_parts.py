"""Functions on text: its parts, what is in it, how it is encoded."""

import pytest

from budflow.expressions.evaluate import ExpressionFailed
from tests.expressions.conftest import Evaluate


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("'aB'.upper(), 'aB'.lower(), 'ada l'.title(), 'aDA'.capitalize()", ["AB", "ab", "Ada L", "Ada"]),
        ("' x '.strip(), ' x '.lstrip(), ' x '.rstrip(), 'xax'.strip('x')", ["x", "x ", " x", "a"]),
        ("'ab.py'.removesuffix('.py'), 'v1'.removeprefix('v')", ["ab", "1"]),
        ("'abc'.startswith('ab'), 'abc'.endswith('ab'), 'abc'.contains('b')", [True, False, True]),
        ("'abcb'.find('b'), 'abcb'.rfind('b'), 'abcb'.find('z'), 'abcb'.count('b')", [1, 3, -1, 2]),
        ("'a-b-c'.replace('-', '+'), 'ab'.replace('', '.')", ["a+b+c", ".a.b."]),
        ("'a,b,c'.split(','), ' a  b '.split(), 'a,b,c'.split(',', 1)", [["a", "b", "c"], ["a", "b"], ["a", "b,c"]]),
        ("'a\\nb\\r\\nc'.lines()", ["a", "b", "c"]),
        ("', '.join(['a', 1, None, True])", "a, 1, , true"),
        (
            "'ab'.repeat(2), '7'.zfill(3), '7'.rjust(3, '.'), '7'.ljust(3), 'x'.center(3)",
            ["abab", "007", "..7", "7  ", " x "],
        ),
        ("'hello'.truncate(4), 'hello'.truncate(5), 'hello'.truncate(2, '...')", ["hel…", "hello", ".."]),
        ("'ab'.repeat(-1), 'a\\u2028b'.indent('> ')", ["", "> a\u2028> b"]),
        ("'abc'.reverse(), 'abc'.length(), len('abc')", ["cba", 3, 3]),
        ("'Ünder the Bridge!'.slug()", "ünder-the-bridge"),
        ("'12'.is_digit(), 'ab'.is_alpha(), ''.is_digit()", [True, True, False]),
        ("'a b/ü'.url_encode(), 'a%20b+c'.url_decode()", ["a%20b%2F%C3%BC", "a b c"]),
        ("'hü'.to_base64(), 'aMO8'.from_base64()", ["aMO8", "hü"]),
        ("'a'.sha256()", "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"),
        (
            "str(None), str(True), str(1.5), str([1, 'a']), str($now)",
            ["", "true", "1.5", '[1,"a"]', "2026-01-31T13:05:09+00:00"],
        ),
        ("parse_json('{\"a\": [1, null]}')", {"a": [1, None]}),
        ("to_json({'a': 'ü', 't': $now, 's': {1}})", '{"a":"ü","t":"2026-01-31T13:05:09+00:00","s":[1]}'),
        ("to_json([1], indent=2)", "[\n  1\n]"),
    ],
)
def test_text(expression: str, value: object, evaluate: Evaluate) -> None:
    assert evaluate(expression) == value


@pytest.mark.parametrize(
    "expression",
    [
        "'a'.replace(1, 'b')",
        "'a'.join(1)",
        "'a'.find(None)",
        "'?'.from_base64()",
        "parse_json('{')",
        "parse_json(1)",
        "to_json(1, indent=99)",
        "'a'.repeat(1.5)",
        "'a'.split('')",
        "'a'.ljust(3, 'ab')",
        "'a'.startswith(('a', 'b'))",
    ],
)
def test_arguments_of_the_wrong_kind_are_explained(expression: str, evaluate: Evaluate) -> None:
    with pytest.raises(ExpressionFailed):
        evaluate(expression)
