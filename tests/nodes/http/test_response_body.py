"""The body of an answer as JSON."""

from typing import Any

import pytest

from budflow.model.http import HttpResponse
from budflow.nodes.http.response_body import HttpAnswerBinary, HttpAnswerNotJson, read_body, text_of


def answer(body: bytes, content_type: str | None = None) -> HttpResponse:
    headers = () if content_type is None else (("Content-Type", content_type),)
    return HttpResponse(200, headers, body, "https://a.example/")


@pytest.mark.parametrize(
    ("body", "content_type", "value"),
    [
        (b'{"a": 1}', "application/json", {"a": 1}),
        (b'{"a": 1}', "Application/JSON; charset=utf-8", {"a": 1}),
        (b"[1]", "application/problem+json", [1]),
        (b"not json", "application/json", "not json"),
        (b'{"a": 1}', "text/plain", '{"a": 1}'),
        (b"plain", None, "plain"),
        (b"", "application/json", None),
        (b"", "text/plain", None),
        ("grün".encode("latin-1"), "text/plain; charset=iso-8859-1", "grün"),
        ("grün".encode(), "text/plain; charset=no-such-charset", "grün"),
    ],
)
def test_auto_goes_by_the_content_type(body: bytes, content_type: str | None, value: Any) -> None:
    assert read_body(answer(body, content_type), "auto") == value


def test_auto_refuses_what_is_no_text() -> None:
    with pytest.raises(HttpAnswerBinary, match="image/png"):
        read_body(answer(b"\x89PNG\xff", "image/png"), "auto")


def test_json_is_read_whatever_the_type_says() -> None:
    assert read_body(answer(b"[1]", "text/html"), "json") == [1]
    assert read_body(answer(b""), "json") is None
    with pytest.raises(HttpAnswerNotJson):
        read_body(answer(b"<html>", "application/json"), "json")


def test_text_is_taken_as_it_is() -> None:
    assert read_body(answer(b'{"a": 1}', "application/json"), "text") == '{"a": 1}'
    assert read_body(answer(b""), "text") == ""
    assert text_of(answer(b"a\xff")) == "a�"


@pytest.mark.parametrize("charset", ["punycode", "IDNA", "unicode_escape", "raw-unicode-escape", "undefined"])
def test_a_codec_that_is_no_charset_is_not_used_however_long_the_body(charset: str) -> None:
    # Of these punycode would take hours for the largest answer that is read by default, and stop the server meanwhile.
    body = b"a" * 1_000_000 + b"-" + b"9" * 1_000_000 + rb"\ud800"

    assert text_of(answer(body, f"text/plain; charset={charset}")) == body.decode()
