"""The body of an HTTP answer as a JSON value, for http.request."""

import codecs
from email.message import Message
from typing import Any, Literal

import orjson

from budflow.model.failure import NodeError
from budflow.model.http import HttpResponse

#: What Python decodes as well and no server means; punycode takes a time that grows with the square of the length.
NO_CHARSETS = frozenset({"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape"})


class HttpAnswerNotJson(NodeError):
    """The answer is not JSON."""

    code = "http.answer_not_json"
    hint = "Look at what the server sent; set `response` to `text` to take it as it is."


class HttpAnswerBinary(NodeError):
    """The answer is neither JSON nor text."""

    code = "http.answer_binary"
    hint = "Ask the server for text or JSON with an Accept header, or set `response` to `text` to read it all the same."


def read_body(response: HttpResponse, how: Literal["auto", "json", "text"]) -> Any:
    """What stands in the item's `body`; None for an empty body, but "" where text was asked for.

    `auto` goes by the Content-Type (JSON, also `application/problem+json` and its like) and takes everything else,
    JSON that is broken included, as text. Raises HttpAnswerNotJson and, for `auto`, HttpAnswerBinary.
    """
    if how == "text":
        return text_of(response)
    if not response.body:
        return None
    if how == "json":
        try:
            return orjson.loads(response.body)
        except orjson.JSONDecodeError as error:
            raise HttpAnswerNotJson(f"The answer is not JSON: {error}.") from error
    content_type = _content_type(response)
    media_type = content_type.get_content_type()
    if media_type == "application/json" or media_type.endswith("+json"):
        try:
            return orjson.loads(response.body)
        except orjson.JSONDecodeError:
            return text_of(response)
    if content_type.get_content_charset() is None:
        try:
            return response.body.decode()
        except UnicodeDecodeError as error:
            raise HttpAnswerBinary(f"The answer of type {media_type} is neither JSON nor text.") from error
    return text_of(response)


def text_of(response: HttpResponse) -> str:
    """The body in the charset that the answer names, else UTF-8; what cannot be decoded becomes U+FFFD."""
    charset = _content_type(response).get_content_charset() or "utf-8"
    try:
        known = codecs.lookup(charset).name not in NO_CHARSETS
        return response.body.decode(charset if known else "utf-8", errors="replace")
    except (LookupError, ValueError):  # A charset that nobody knows, or no name at all.
        return response.body.decode(errors="replace")


def _content_type(response: HttpResponse) -> Message:
    """The standard library's parser of header parameters; without the header, a type of no known kind."""
    message = Message()
    values = [value for name, value in response.headers if name.lower() == "content-type"]
    message["Content-Type"] = values[0] if values else "application/octet-stream"
    return message
