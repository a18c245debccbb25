"""Functions that find addresses in text, and take markup out of it."""

import pytest

from budflow.expressions.evaluate import ExpressionFailed
from tests.expressions.conftest import Evaluate


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("'<a@b.co>, c+d@e-f.org.'.extract_emails()", ["a@b.co", "c+d@e-f.org"]),
        ("'a@b'.extract_email(), 'no'.extract_emails(), 'x@münchen.de'.extract_email()", [None, [], "x@münchen.de"]),
        ("'(see https://a.org/x_(y)?q=1), http://b.org.'.extract_urls()", ["https://a.org/x_(y)?q=1", "http://b.org"]),
        ("'HTTP://A.ORG/X'.extract_url(), 'a.org'.extract_url()", ["HTTP://A.ORG/X", None]),
        (
            "'http://u:p@a.org:81/x'.extract_domain(), 'a.org/x'.extract_domain(), 'Ada <a@B.org>'.extract_domain()",
            ["a.org", "a.org", "b.org"],
        ),
        ("'http://a.org'.extract_url_path(), 'none'.extract_url_path()", ["/", None]),
        ("'-1 2.5 1,000 x9'.extract_numbers()", [-1, 2.5, 1000, 9]),
        ("'a@b.org #x @y'.extract_tags()", ["#x", "@y"]),
        (
            "'a<br/>b<!-- <x> -->c'.strip_tags(), '<b'.strip_tags(), 'a < b > c'.strip_tags()",
            ["abc", "<b", "a < b > c"],
        ),
        ("'**a** _b_ ~~c~~ `d`'.strip_markdown(), '- a\\n1. b\\n> c'.strip_markdown()", ["a b c d", "a\nb\nc"]),
        ("'![alt](x.png) [t](u) snake_case_name 2*3*4'.strip_markdown()", "alt t snake_case_name 234"),
        ("'a\\\\b'.quote(), 'a'.quote('`')", ['"a\\\\b"', "`a`"]),
    ],
)
def test_what_they_give(expression: str, value: object, evaluate: Evaluate) -> None:
    assert evaluate(expression) == value


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("'a'.quote('ab')", "one character"),
        ("('a@' * 300000).extract_emails()", "too much for a text"),
    ],
)
def test_what_they_cannot_do_is_explained(expression: str, told: str, evaluate: Evaluate) -> None:
    with pytest.raises(ExpressionFailed) as caught:
        evaluate(expression)
    assert told in f"{caught.value.message} {caught.value.hint}"
