"""Redaction: the second line, which masks secrets by their value where they come back from outside."""

import base64
import html
import re
from collections.abc import Callable, Iterable, Iterator
from json.encoder import encode_basestring, encode_basestring_ascii
from typing import Any, TypeVar
from urllib.parse import quote

import orjson

from budflow.model.secret import MASK, SecretUnserializable

#: Shorter ones stand in ordinary text by chance: masking them would destroy data and protect nothing.
CHARS_MIN = 6
#: Data that nests deeper is masked as a whole where a secret is in it.
DEPTH_MAX = 100
#: Of these no escaping makes anything else (RFC 3986, 2.3).
PLAIN = re.compile(r"[A-Za-z0-9._~-]+")
PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))
#: What percent-encoders leave as it is: of a component, a path, a form (Java's), encodeURI and encodeURIComponent of
#: ECMA-262 (19.2.6), and the query, path and user of an address as browsers write them (WHATWG URL, 1.3).
SAFE = (
    "",
    "/",
    "*",
    ";,/?:@&=+$-_.!~*'()#",
    "!'()*",
    *(
        "".join(set(PRINTABLE) - set(left))
        for left in ("%\"#<>'", '%"#<>', '%"#<>?`{}', '%"#<>?^`{}', '%"#<>?^`{}/:;=@[\\]|')
    ),
)

Text = TypeVar("Text", str, bytes)


class Redaction:
    """Masks some secrets wherever they stand: as they are, and as base64, hex, URL-, HTML- and JSON-escaped text."""

    __slots__ = ("_bytes", "_in_numbers", "_shortest", "_texts", "_written")

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for secret in secrets if len(secret) >= CHARS_MIN for form in _forms(secret)}
        self._texts = sorted(forms)
        self._shortest = min(map(len, forms), default=0)
        self._in_numbers = any(form.isdecimal() for form in forms)
        # Made when first asked for: most credentials never need them.
        self._bytes: list[bytes] | None = None
        self._written: list[bytes] | None = None

    def text(self, text: str) -> str:
        """The text without the secrets; the very same object where there is none in it."""
        return _masked(text, self._texts, MASK) if self._is_in(text) else text

    def octets(self, data: bytes) -> bytes:
        """The same for bytes in which text stands as UTF-8, such as the body of an answer."""
        if self._bytes is None:
            self._bytes = [form.encode() for form in self._texts]
        return _masked(data, self._bytes, MASK.encode()) if any(form in data for form in self._bytes) else data

    def may_be_in(self, written: bytes) -> bool:
        """Whether `data` could find anything in what this is the JSON of, as orjson writes it; a fifth of its time."""
        if self._written is None:
            # Each character is escaped by itself, so that a form stands in a text as its escape stands in the JSON.
            self._written = [orjson.dumps(form)[1:-1] for form in self._texts]
        # Numbers are written in other ways than `data` reads them.
        return self._in_numbers or any(form in written for form in self._written)

    def data(self, value: Any) -> Any:
        """JSON-like data without them, keys included; the very same object where there is none in it."""
        return self._rebuilt(value, DEPTH_MAX) if self._texts and self._is_inside(value) else value

    def __reduce_ex__(self, _protocol: object) -> tuple[Any, ...]:
        if self._texts:
            raise SecretUnserializable
        return Redaction, ((),)

    def __deepcopy__(self, _memo: object) -> "Redaction":
        return self

    def _is_in(self, text: str) -> bool:
        # Looking for each by itself takes a tenth of the time that a pattern of them all does.
        return len(text) >= self._shortest and any(form in text for form in self._texts)

    def _is_inside(self, value: Any) -> bool:
        """Without recursion: what a server answers may nest deeper than Python's stack."""
        pending = [value]
        while pending:
            one = pending.pop()
            if isinstance(one, str):
                if self._is_in(one):
                    return True
            elif isinstance(one, dict):
                pending.extend(one)
                pending.extend(one.values())
            elif isinstance(one, list | tuple):
                pending.extend(one)
            elif self._in_numbers and isinstance(one, int | float) and self._is_in(str(one)):
                return True
        return False

    def _rebuilt(self, value: Any, depth: int) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if not isinstance(value, dict | list | tuple):
            return MASK if self._is_inside(value) else value
        if depth == 0:
            return MASK if self._is_inside(value) else value
        if isinstance(value, dict):
            return {self._rebuilt(key, 1): self._rebuilt(inner, depth - 1) for key, inner in value.items()}
        parts = [self._rebuilt(inner, depth - 1) for inner in value]
        return tuple(parts) if isinstance(value, tuple) else parts


NO_REDACTION = Redaction(())


def _masked(text: Text, forms: Iterable[Text], mask: Text) -> Text:
    """What stands in any of the forms is cut out; of two that overlap nothing remains."""
    parts: list[Text] = []
    end = 0
    for start, stop in _merged(sorted(span for form in forms for span in _spans(text, form))):
        parts += [text[end:start], mask]
        end = stop
    parts.append(text[end:])
    return mask[:0].join(parts)


def _spans(text: Text, form: Text) -> Iterator[tuple[int, int]]:
    """Where the form stands. Where it overlaps itself it is one span: there could be as many as characters."""
    size = len(form)
    start = last = text.find(form)
    while start >= 0:
        while (further := text.rfind(form, last + 1, last + 2 * size - 1)) >= 0:
            last = further
        yield start, last + size
        start = last = text.find(form, last + size)


def _merged(spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    begun: tuple[int, int] | None = None
    for start, stop in spans:
        if begun is not None and start < begun[1]:
            begun = begun[0], max(begun[1], stop)
            continue
        if begun is not None:
            yield begun
        begun = start, stop
    if begun is not None:
        yield begun


def _forms(secret: str) -> set[str]:
    data = secret.encode()
    forms = {secret, data.hex(), data.hex().upper()}
    for shift in range(3):
        forms |= set(_base64(data, shift))
    if not PLAIN.fullmatch(secret):
        forms |= {*_percent(secret), *_html(secret), *_json(secret, twice=True), *_repr(secret)}
    return forms


def _percent(text: str) -> Iterator[str]:
    for encoded in {quote(text, safe=safe) for safe in SAFE}:
        for written in {encoded, encoded.replace("%20", "+")}:
            yield written
            yield re.sub("%(?:[A-F].|.[A-F])", _lower, written)


def _html(text: str) -> Iterator[str]:
    yield html.escape(text, quote=False)
    quoted = html.escape(text)
    yield quoted
    yield quoted.replace("&#x27;", "&#39;")
    yield quoted.replace("&#x27;", "&#39;").replace("&quot;", "&#34;")


def _json(text: str, *, twice: bool) -> Iterator[str]:
    """Inside a string of JSON (RFC 8259, 7), in the ways that writers escape; and such JSON as a string within JSON."""
    for escaped in {encode_basestring_ascii(text)[1:-1], encode_basestring(text)[1:-1]}:
        for written in {escaped, escaped.replace("/", r"\/"), re.sub(r"\\u[0-9a-f]{4}", _upper_digits, escaped)}:
            yield written
            if twice and written != text:
                yield from _json(written, twice=False)


def _repr(text: str) -> Iterator[str]:
    """As Python's errors quote texts and bytes, in which either kind of quotation marks may stand."""
    for parts in (
        [repr(part)[1:-1] for part in text.split("'")],
        [repr(part)[2:-1] for part in text.encode().split(b"'")],
    ):
        yield "'".join(parts)
        yield "\\'".join(parts)


def _base64(data: bytes, shift: int) -> Iterator[str]:
    """What is the same in base64 (RFC 4648) wherever it encodes `data`, when it stands `shift` bytes into a triple."""
    first = -(-shift * 8 // 6)
    whole = (shift + len(data)) * 8 // 6
    encoders: tuple[Callable[[bytes], bytes], ...] = (base64.b64encode, base64.urlsafe_b64encode)
    for encode in encoders:
        yield encode(b"\0" * shift + data).decode()[first:whole]


def _lower(found: re.Match[str]) -> str:
    return found[0].lower()


def _upper_digits(found: re.Match[str]) -> str:
    return r"\u" + found[0][2:].upper()
