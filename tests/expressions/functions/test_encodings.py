"""Encodings and digests of text."""

import pytest

from budflow.expressions.evaluate import ExpressionFailed
from tests.expressions.conftest import Evaluate


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("'a+b%2B'.url_decode(), 'a+b'.url_decode(plus=False), 'é/'.url_encode(keep='/')", ["a b+", "a+b", "%C3%A9/"]),
        (
            "'YQ'.from_base64(), 'YT8-'.from_base64(), 'Y Q\\n=='.from_base64(), 'YT8-'.from_base64url()",
            ["a", "a?>", "a", "a?>"],
        ),
        ("'é'.to_hex().from_hex(), 'é?'.to_base64url().from_base64url(), ''.to_base64()", ["é", "é?", ""]),
        ("'&lt;&#x41;&amp;nope;&eacute'.html_unescape(), \"'\".html_escape()", ["<A&nope;é", "&#x27;"]),
        ("'a'.hash('sha3_256')[:8], 'a'.hash('sha1', 'base64url')", ["80084bf2", "hvfkN_qlp_zhXR3cuerq6jd2Z7g"]),
        (
            "''.md5(), 'a'.sha1()[:8], 'a'.sha512()[:8], ''.crc32()",
            ["d41d8cd98f00b204e9800998ecf8427e", "86f7e437", "1f40fc92", "00000000"],
        ),
        ("'b'.hmac('k', 'md5').length(), 'b'.hmac('k') == 'b'.hmac('l')", [32, False]),
    ],
)
def test_what_they_give(expression: str, value: object, evaluate: Evaluate) -> None:
    assert evaluate(expression) == value


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("'?'.from_base64()", "not Base64"),
        ("'/w=='.from_base64()", "not Base64 of UTF-8"),
        ("'0'.from_hex()", "not hexadecimal"),
        ("'\\ud800'.to_base64()", "half a character"),
        ("'\\ud800'.md5()", "half a character"),
        ("'a'.hash('md6')", 'Did you mean "md5"?'),
        ("'a'.hash('md5', 'hexx')", 'Did you mean "hex"?'),
        ("'a'.hmac(1)", "key must be a text"),
        ("'a'.url_encode(keep='ä')", "ASCII"),
    ],
)
def test_what_they_cannot_do_is_explained(expression: str, told: str, evaluate: Evaluate) -> None:
    with pytest.raises(ExpressionFailed) as caught:
        evaluate(expression)
    assert told in f"{caught.value.message} {caught.value.hint}"
