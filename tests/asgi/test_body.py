"""A body is read as what its `Content-Type` says it is, in time that does not depend on who sent it."""

import base64
from typing import Any

import pytest

from budflow.asgi.body import BodyMalformed, parse_body

BOUNDARY = "----WebKitFormBoundary7MA4YWxkTrZu0gW"
MULTIPART = f'multipart/form-data; boundary="{BOUNDARY}"'


def multipart(*parts: bytes, close: bool = True) -> bytes:
    mark = b"--" + BOUNDARY.encode()
    body = b"".join(mark + b"\r\n" + part + b"\r\n" for part in parts)
    return body + (mark + b"--\r\n" if close else b"")


@pytest.mark.parametrize(
    ("content_type", "body", "expected"),
    [
        ("application/json", b'{"a": [1, null]}', {"a": [1, None]}),
        ("application/vnd.github+json", b"[1]", [1]),
        ("Application/JSON", b'"text"', "text"),
        ("application/json", b"", None),
        (None, b"", None),
        ("application/x-www-form-urlencoded", b"a=1&b=x+y&b=%C3%BC&c", {"a": "1", "b": ["x y", "ü"], "c": ""}),
        ("text/plain", "grüß".encode(), "grüß"),
        ("text/plain; charset=iso-8859-1", "grüß".encode("latin-1"), "grüß"),
        ("application/xml", b"<a/>", "<a/>"),
        (None, b'{"a": 1}', '{"a": 1}'),
        ("image/png", b"\x89PNG\xff", {"base64": base64.b64encode(b"\x89PNG\xff").decode(), "size_bytes": 5}),
        ("text/plain; charset=nonsense", b"abc", {"base64": "YWJj", "size_bytes": 3}),
        ("text/plain; charset=undefined", b"abc", {"base64": "YWJj", "size_bytes": 3}),
        ("text/plain; charset=utf-7", b"+2AA-", {"base64": "KzJBQS0=", "size_bytes": 5}),
    ],
)
def test_a_body_is_read_as_its_type_says(content_type: str | None, body: bytes, expected: Any) -> None:
    assert parse_body(content_type, body) == expected


@pytest.mark.parametrize(
    "body", [b"{", b"NaN", b"{'a': 1}", b"\xff", b"{} x", b'"\\ud800"', b"[" * 101 + b"]" * 101, b"[" * 100_000]
)
def test_malformed_json_is_refused(body: bytes) -> None:
    with pytest.raises(BodyMalformed):
        parse_body("application/json", body)


def test_json_is_refused_for_its_depth_and_not_for_its_size_or_its_texts() -> None:
    assert parse_body("application/json", b"[" * 100 + b"]" * 100)
    assert len(parse_body("application/json", b"[" + b"{}," * 1000 + b"{}]")) == 1001
    assert parse_body("application/json", b'"' + b"[" * 200 + b'"') == "[" * 200


def test_too_many_fields_are_refused() -> None:
    with pytest.raises(BodyMalformed):
        parse_body("application/x-www-form-urlencoded", b"a=1&" * 1001)


def test_multipart_fields_are_told_by_name_and_files_with_their_bytes() -> None:
    content = bytes(range(256)) + b"\r\n--almost\r\n\r\n"
    body = multipart(
        'Content-Disposition: form-data; name="größe"\r\n\r\nXL'.encode(),
        b'Content-Disposition: form-data; name="tag"\r\n\r\na',
        b'Content-Disposition: form-data; name="tag"\r\n\r\nb',
        b'Content-Disposition: form-data; name="photo"; filename="me.png"\r\nContent-Type: image/png\r\n\r\n' + content,
    )

    assert parse_body(MULTIPART, body) == {
        "größe": "XL",
        "tag": ["a", "b"],
        "photo": {
            "filename": "me.png",
            "content_type": "image/png",
            "base64": base64.b64encode(content).decode(),
            "size_bytes": len(content),
        },
    }


def test_an_empty_form_has_no_fields() -> None:
    assert parse_body(MULTIPART, multipart()) == {}


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", multipart(b'Content-Disposition: form-data; name="a"\r\n\r\n1')),
        (MULTIPART, multipart(b'Content-Disposition: form-data; name="a"\r\n\r\n1', close=False)),
        (MULTIPART, multipart(b"Content-Disposition: form-data\r\n\r\n1")),
        (MULTIPART, multipart(b'Content-Disposition: form-data; name="a"')),
        (MULTIPART, multipart(*[b'Content-Disposition: form-data; name="a"\r\n\r\n1'] * 1001)),
        (MULTIPART, b"nothing of the kind"),
    ],
)
def test_malformed_multipart_is_refused(content_type: str, body: bytes) -> None:
    with pytest.raises(BodyMalformed):
        parse_body(content_type, body)


@pytest.mark.parametrize("charset", ["punycode", "idna", "unicode_escape", "utf-7", "zip", "no-such", "a" * 300])
def test_only_encodings_of_the_web_are_decoded(charset: str) -> None:
    # Python knows others, of which some take quadratic time, and remembers each name it was ever asked for.
    body = b"a-" + b"b" * 100

    assert parse_body(f"text/plain; charset={charset}", body)["size_bytes"] == len(body)


@pytest.mark.parametrize("charset", ["UTF-8", "utf8", "iso-8859-1", "latin1", "windows-1252", "Shift_JIS", "utf-16le"])
def test_encodings_of_the_web_are_decoded(charset: str) -> None:
    assert parse_body(f"text/plain; charset={charset}", "ab".encode(charset)) == "ab"


def test_a_content_type_with_too_many_parameters_is_refused() -> None:
    # Reading them takes quadratic time: with a header of a megabyte, one request would stop the server.
    with pytest.raises(BodyMalformed, match="parameters"):
        parse_body('multipart/form-data; boundary=x; y="' + ";" * 100, b"--x--")


def test_a_part_with_too_many_parameters_is_refused() -> None:
    with pytest.raises(BodyMalformed, match="parameters"):
        parse_body(MULTIPART, multipart(b'Content-Disposition: form-data; name="a"; x="' + b";" * 100 + b"\r\n\r\nhi"))


def test_a_part_whose_headers_are_too_long_is_refused() -> None:
    with pytest.raises(BodyMalformed, match="headers"):
        parse_body(
            MULTIPART, multipart(b'Content-Disposition: form-data; name="a"' + b"\r\nX: y" * 10_000 + b"\r\n\r\n")
        )
