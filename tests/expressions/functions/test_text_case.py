"""Functions that change the case of text."""

import pytest

from tests.expressions.conftest import Evaluate


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        (
            "'firstName'.snake_case(), 'XMLHttpRequest'.snake_case(), 'a1B2'.snake_case()",
            ["first_name", "xml_http_request", "a1_b2"],
        ),
        ("''.snake_case(), '--'.camel_case(), ' a '.pascal_case()", ["", "", "A"]),
        (
            "'FOO_BAR baz'.camel_case(), 'fooBar'.kebab_case(), 'foo bar'.constant_case()",
            ["fooBarBaz", "foo-bar", "FOO_BAR"],
        ),
        ("'älter Öl'.pascal_case(), 'ñandú'.without_accents()", ["ÄlterÖl", "nandu"]),
        (
            "'a tale of two'.title_case(), 'OF MICE'.title_case(), 'a  b'.title_case()",
            ["A Tale of Two", "Of Mice", "A  B"],
        ),
        ("'hi. i am 3.5 m! ok? yes'.sentence_case()", "Hi. I am 3.5 m! Ok? Yes"),
        ("'ß'.upper(), 'İ'.lower().length()", ["SS", 2]),
    ],
)
def test_what_they_give(expression: str, value: object, evaluate: Evaluate) -> None:
    assert evaluate(expression) == value
