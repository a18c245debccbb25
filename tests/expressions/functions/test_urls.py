"""Functions on URLs and their queries."""

import pytest

from budflow.expressions.evaluate import ExpressionFailed
from tests.expressions.conftest import Evaluate


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("'http://[::1]:80/'.parse_url().host, '/a?b'.parse_url().host", ["::1", None]),
        ("'a=1&a=2&a=3&b'.parse_query(), '?x=%20'.parse_query()", [{"a": ["1", "2", "3"], "b": ""}, {"x": " "}]),
        ("'http://a.org/x?a=1#f'.with_query({'b': [1, 2]})", "http://a.org/x?a=1&b=1&b=2#f"),
        ("{'a': None, 'b': True, 'c': 'ü&'}.to_query()", "b=true&c=%C3%BC%26"),
        (
            "build_url(host='a.org', port=81, path='x/ü', fragment='t'), build_url(host='::1')",
            ["https://a.org:81/x/%C3%BC#t", "https://[::1]"],
        ),
        (
            "'http://a.org/b/c'.join_url('d?x#y'), 'http://a.org/b'.join_url('//c.org/')",
            ["http://a.org/b/d?x#y", "http://c.org/"],
        ),
    ],
)
def test_what_they_give(expression: str, value: object, evaluate: Evaluate) -> None:
    assert evaluate(expression) == value


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("'http://[::1'.parse_url()", "is not a URL"),
        ("'http://a.org:99999/'.parse_url()", "no valid port"),
        ("build_url(host='a.org/x')", "not a scheme and a host"),
        ("build_url(host='a.org', port=0)", "a port is"),
        ("('a&' * 2000).parse_query()", "1,000 fields"),
        ("('a' * 70000).parse_url()", "65,536"),
        ("'http://a.org'.with_query(1)", "fields must be a dict"),
    ],
)
def test_what_they_cannot_do_is_explained(expression: str, told: str, evaluate: Evaluate) -> None:
    with pytest.raises(ExpressionFailed) as caught:
        evaluate(expression)
    assert told in f"{caught.value.message} {caught.value.hint}"
