"""From the bytes of a request's body to data, by its `Content-Type`, within limits."""

import base64
from collections.abc import Iterable
from email.message import Message
from email.parser import HeaderParser
from typing import Any
from urllib.parse import parse_qsl

import orjson

from budflow.errors import BudflowError
from budflow.model.item import Json

JSON_DEPTH_MAX = 100
FIELDS_MAX = 1_000
PART_HEAD_BYTES_MAX = 16 * 1024
#: Of one header field; `email` reads them in time that grows with their number times their length.
PARAMETERS_MAX = 20
#: What a text may be encoded in: labels of the Encoding Standard (WHATWG), with `-` for `_`. Python knows more, of
#: which some take quadratic time (punycode, idna), and it remembers every name that it was ever asked for.
CHARSETS = frozenset(
    {
        *("utf-8", "utf8", "ascii", "us-ascii", "latin1", "latin-1", "utf-16", "utf-16le", "utf-16be"),
        *(f"iso-8859-{part}" for part in (*range(1, 12), *range(13, 17))),
        *(f"windows-125{page}" for page in range(9)),
        *("koi8-r", "koi8-u", "gbk", "gb2312", "gb18030", "big5", "euc-jp", "iso-2022-jp", "shift-jis", "euc-kr"),
    }
)


class BodyMalformed(BudflowError):
    """The request is not what it says it is."""

    code = "webhook.body_malformed"
    http_status = 400
    hint = "Send a body that fits its `Content-Type`."


def parse_body(content_type: str | None, body: bytes) -> Any:
    """JSON as data, forms as their fields, else the text; bytes that are no text as `{"base64", "size_bytes"}`.

    A field that stands several times becomes a list. No body is None. Raises BodyMalformed.
    """
    if not body:
        return None
    kind = (content_type or "").partition(";")[0].strip().lower()
    if kind == "application/json" or kind.endswith("+json"):
        return _json(body)
    if kind == "application/x-www-form-urlencoded":
        return parse_form(body)
    header = Message()
    header["content-type"] = _with_few_parameters(content_type or "text/plain")
    if kind == "multipart/form-data":
        return _multipart(header.get_boundary(), body)
    return _text(body, header.get_content_charset("utf-8"))


def _json(body: bytes) -> Any:
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BodyMalformed(f"The body is not JSON: {error}.") from None
    # Counting brackets is much cheaper than walking: few bodies have enough of them to be too deep.
    if body.count(b"{") + body.count(b"[") > JSON_DEPTH_MAX and _too_deep(data):
        raise BodyMalformed(f"The body nests deeper than {JSON_DEPTH_MAX} levels.")
    return data


def _too_deep(data: Any) -> bool:
    level = [data]
    for _ in range(JSON_DEPTH_MAX):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True


def parse_form(encoded: bytes) -> Json:
    """The fields of a form or of a query. Raises BodyMalformed."""
    try:
        pairs = parse_qsl(encoded.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=FIELDS_MAX)
    except ValueError:
        raise BodyMalformed(f"There are more than {FIELDS_MAX} fields.") from None
    return _fields(pairs)


def _fields(pairs: Iterable[tuple[str, Any]]) -> Json:
    gathered: dict[str, list[Any]] = {}
    for name, value in pairs:
        gathered.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in gathered.items()}


def _multipart(boundary: str | None, body: bytes) -> Json:
    """The fields of multipart/form-data (RFC 7578); a file becomes an object with its name, type and content."""
    if not boundary:
        raise BodyMalformed("The multipart body names no boundary.")
    _, *parts = (b"\r\n" + body).split(b"\r\n--" + boundary.encode("latin-1", "replace"), FIELDS_MAX + 1)
    if not parts or not parts[-1].startswith(b"--"):
        raise BodyMalformed(f"The multipart body is cut off, or has more than {FIELDS_MAX} parts.")
    return _fields(_part(part) for part in parts[:-1])


def _part(part: bytes) -> tuple[str, Any]:
    head, separator, content = part.partition(b"\r\n\r\n")
    if len(head) > PART_HEAD_BYTES_MAX:
        raise BodyMalformed(f"The headers of a part have more than {PART_HEAD_BYTES_MAX} bytes.")
    written = _with_few_parameters(head.decode("utf-8", "replace"))
    headers = HeaderParser().parsestr(written.lstrip() + "\r\n\r\n")
    name = headers.get_param("name", header="content-disposition")
    if not separator or not isinstance(name, str):
        raise BodyMalformed("A part of the multipart body has no name.")
    filename = headers.get_filename()
    if filename is None:
        return name, _text(content, headers.get_content_charset("utf-8"))
    return name, {"filename": filename, "content_type": headers.get_content_type(), **_encoded(content)}


def _with_few_parameters(header: str) -> str:
    if header.count(";") > PARAMETERS_MAX:
        raise BodyMalformed(f"A header has more than {PARAMETERS_MAX} parameters.")
    return header


def _text(body: bytes, charset: str) -> Any:
    if charset.lower().replace("_", "-") not in CHARSETS:
        return _encoded(body)
    try:
        text = body.decode(charset)
        text.encode()  # Some charsets decode to half of a surrogate pair, which no journal can keep.
    except ValueError:
        return _encoded(body)
    return text


def _encoded(body: bytes) -> Json:
    return {"base64": base64.b64encode(body).decode(), "size_bytes": len(body)}
