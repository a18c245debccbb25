"""Functions on text."""

import base64 as base64_codec
import binascii
import hashlib
import json
from urllib.parse import quote, unquote_plus

from budflow.expressions.budget import ELEMENTS_MAX, Budget, Fault
from budflow.expressions.declare import function, method
from budflow.expressions.values import charge_deep, json_of, text_of

GROWTH_MAX = 3  # Characters one character becomes at most when its case changes.


@method(str, name="upper")
def upper(budget: Budget, text: str) -> str:
    """The text in capitals."""
    budget.text(len(text))
    return text.upper()


@method(str, name="lower")
def lower(budget: Budget, text: str) -> str:
    """The text in small letters."""
    budget.text(len(text))
    return text.lower()


@method(str, name="title")
def title(budget: Budget, text: str) -> str:
    """The text with a capital at the start of each word."""
    budget.text(len(text))
    return text.title()


@method(str, name="capitalize")
def capitalize(budget: Budget, text: str) -> str:
    """The text with its first letter in capitals and the rest small."""
    budget.text(len(text))
    return text.capitalize()


@method(str, name="strip")
def strip(budget: Budget, text: str, chars: str | None = None) -> str:
    """The text without whitespace (or the given characters) at both ends."""
    return _strip_start(budget, _strip_end(budget, text, chars), chars)


@method(str, name="lstrip")
def lstrip(budget: Budget, text: str, chars: str | None = None) -> str:
    """The text without whitespace (or the given characters) at its start."""
    return _strip_start(budget, text, chars)


@method(str, name="rstrip")
def rstrip(budget: Budget, text: str, chars: str | None = None) -> str:
    """The text without whitespace (or the given characters) at its end."""
    return _strip_end(budget, text, chars)


@method(str, name="removeprefix")
def removeprefix(budget: Budget, text: str, prefix: str) -> str:
    """The text without this start, if it has it."""
    budget.text(len(text))
    return text.removeprefix(prefix)


@method(str, name="removesuffix")
def removesuffix(budget: Budget, text: str, suffix: str) -> str:
    """The text without this end, if it has it."""
    budget.text(len(text))
    return text.removesuffix(suffix)


@method(str, name="startswith")
def startswith(budget: Budget, text: str, prefix: str) -> bool:
    """Whether the text starts with this."""
    budget.scan(len(_text(prefix)))
    return text.startswith(prefix)


@method(str, name="endswith")
def endswith(budget: Budget, text: str, suffix: str) -> bool:
    """Whether the text ends with this."""
    budget.scan(len(_text(suffix)))
    return text.endswith(suffix)


@method(str, name="contains")
def contains(budget: Budget, text: str, part: str) -> bool:
    """Whether this part occurs in the text."""
    budget.search(text, _text(part))
    return part in text


@method(str, name="find")
def find(budget: Budget, text: str, part: str) -> int:
    """Where the part first occurs, or -1."""
    budget.search(text, _text(part))
    return text.find(part)


@method(str, name="rfind")
def rfind(budget: Budget, text: str, part: str) -> int:
    """Where the part last occurs, or -1."""
    budget.search_back(text, _text(part))
    return text.rfind(part)


@method(str, name="count")
def count(budget: Budget, text: str, part: str) -> int:
    """How often the part occurs without overlap."""
    budget.search(text, _text(part))
    return text.count(part)


@method(str, name="replace")
def replace(budget: Budget, text: str, old: str, new: str) -> str:
    """The text with every `old` replaced by `new`."""
    budget.search(text, _text(old))
    budget.text(len(text) + text.count(old) * max(len(_text(new)) - len(old), 0))
    return text.replace(old, new)


@method(str, name="split")
def split(budget: Budget, text: str, separator: str | None = None, limit: int = -1) -> list[str]:
    """The parts between the separators (whitespace when none is given), after at most `limit` cuts."""
    budget.text(len(text))
    if separator is not None:
        budget.search(text, _text(separator))
    parts = text.split(separator, ELEMENTS_MAX if limit < 0 else min(limit, ELEMENTS_MAX))
    budget.elements(len(parts))
    return parts


@method(str, name="lines")
def lines(budget: Budget, text: str) -> list[str]:
    """The lines of the text, without their line breaks."""
    budget.text(len(text))
    budget.elements(min(text.count("\n") + text.count("\r"), ELEMENTS_MAX))
    found = text.splitlines()
    budget.elements(len(found))
    return found


@method(str, name="join")
def join(budget: Budget, separator: str, values: object) -> str:
    """The values as one text, with this text between them."""
    return join_values(budget, separator, values)


@method(str, name="repeat")
def repeat(budget: Budget, text: str, times: int) -> str:
    """The text so many times in a row."""
    budget.text(len(text) * _whole(times))
    return text * times


@method(str, name="ljust")
def ljust(budget: Budget, text: str, width: int, fill: str = " ") -> str:
    """The text filled up at its end to this width."""
    budget.text(max(_whole(width), len(text)))
    return text.ljust(width, fill)


@method(str, name="rjust")
def rjust(budget: Budget, text: str, width: int, fill: str = " ") -> str:
    """The text filled up at its start to this width."""
    budget.text(max(_whole(width), len(text)))
    return text.rjust(width, fill)


@method(str, name="center")
def center(budget: Budget, text: str, width: int, fill: str = " ") -> str:
    """The text filled up at both ends to this width."""
    budget.text(max(_whole(width), len(text)))
    return text.center(width, fill)


@method(str, name="zfill")
def zfill(budget: Budget, text: str, width: int) -> str:
    """The text filled up with zeros at its start to this width."""
    budget.text(max(_whole(width), len(text)))
    return text.zfill(width)


@method(str, name="truncate")
def truncate(budget: Budget, text: str, chars: int, end: str = "…") -> str:
    """The text cut to at most so many characters, with `end` where it was cut."""
    if len(text) <= _whole(chars):
        return text
    budget.text(chars)
    return text[: max(chars - len(_text(end)), 0)] + end[:chars]


@method(str, name="reverse")
def reverse(budget: Budget, text: str) -> str:
    """The text backwards."""
    budget.text(len(text))
    return text[::-1]


@method(str, name="slug")
def slug(budget: Budget, text: str) -> str:
    """The text as small letters and digits joined by hyphens, for an address."""
    budget.text(len(text) * GROWTH_MAX)
    words = "".join(char if char.isalnum() else " " for char in text.lower()).split()
    return "-".join(words)


@method(str, name="length")
def length(budget: Budget, text: str) -> int:
    """How many characters the text has."""
    return len(text)


@method(str, name="is_digit")
def is_digit(budget: Budget, text: str) -> bool:
    """Whether the text is made of digits only."""
    budget.scan(len(text))
    return text.isdigit()


@method(str, name="is_alpha")
def is_alpha(budget: Budget, text: str) -> bool:
    """Whether the text is made of letters only."""
    budget.scan(len(text))
    return text.isalpha()


@method(str, name="url_encode")
def url_encode(budget: Budget, text: str) -> str:
    """The text with everything but letters, digits and `-_.~` percent-encoded (RFC 3986)."""
    budget.text(len(text.encode()) * 3)
    return quote(text, safe="")


@method(str, name="url_decode")
def url_decode(budget: Budget, text: str) -> str:
    """The text with percent-encoding and `+` undone."""
    budget.text(len(text))
    return unquote_plus(text)


@method(str, name="to_base64")
def to_base64(budget: Budget, text: str) -> str:
    """The text's UTF-8 bytes in Base64."""
    data = text.encode()
    budget.text(len(data) * 4 // 3 + 4)
    return base64_codec.b64encode(data).decode()


@method(str, name="from_base64")
def from_base64(budget: Budget, text: str) -> str:
    """The UTF-8 text that this Base64 holds."""
    budget.text(len(text))
    try:
        return base64_codec.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise Fault("the text is not Base64 of UTF-8 text") from None


@method(str, name="sha256")
def sha256(budget: Budget, text: str) -> str:
    """The SHA-256 digest of the text's UTF-8 bytes, in hexadecimal."""
    budget.text(len(text))
    return hashlib.sha256(text.encode()).hexdigest()


@function("str")
def to_text(budget: Budget, value: object = "") -> str:
    """The value as text: None is empty, bools are true and false, lists and dicts are JSON, times ISO 8601."""
    return text_of(budget, value)


@function("parse_json")
def parse_json(budget: Budget, text: str) -> object:
    """The data that this JSON text holds."""
    budget.text(len(_text(text)))
    # Weighed before parsing: each of these characters can begin an element, and an element costs more than its text.
    budget.elements(text.count(",") + text.count("[") + text.count("{"))
    try:
        value: object = json.loads(text)
    except ValueError as error:
        raise Fault(f"the text is not JSON: {error}") from None
    charge_deep(budget, value)
    return value


@function("to_json")
def to_json(budget: Budget, value: object, indent: int | None = None) -> str:
    """The value as JSON text, compact unless `indent` says how many spaces a level gets."""
    if indent is not None and not 0 <= indent <= 8:
        raise Fault("indent must be from 0 to 8")
    return json_of(budget, value, indent=indent)


def join_values(budget: Budget, separator: str, values: object) -> str:
    """The values as texts with the separator between them; for `text.join` and `list.join`."""
    if not isinstance(values, (list, tuple, set)):
        raise Fault("join needs a list")
    budget.elements(len(values))
    texts = [text_of(budget, value) for value in values]
    budget.text(sum(map(len, texts)) + len(_text(separator)) * len(texts))
    return separator.join(texts)


def _text(value: object) -> str:
    if type(value) is not str:
        raise TypeError("a text is needed")
    return value


def _whole(value: object) -> int:
    if type(value) is not int:
        raise TypeError("a whole number is needed")
    return value


def _strip_start(budget: Budget, text: str, chars: str | None) -> str:
    budget.text(len(text))
    budget.scan(len(text) * (0 if chars is None else len(_text(chars))))
    return text.lstrip(chars)


def _strip_end(budget: Budget, text: str, chars: str | None) -> str:
    budget.text(len(text))
    budget.scan(len(text) * (0 if chars is None else len(_text(chars))))
    return text.rstrip(chars)
