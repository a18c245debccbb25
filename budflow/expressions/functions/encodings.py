"""Text: encodings of its UTF-8 bytes, of addresses and of HTML."""

import base64
import binascii
import html
from urllib.parse import quote, unquote, unquote_plus

from budflow.expressions.arguments import text as as_text
from budflow.expressions.budget import Budget, Fault
from budflow.expressions.declare import method

ENTITY_CHARS_MAX = 6  # What `html.escape` makes of one character at most.


@method(
    str,
    name="url_encode",
    examples=[("'a b/ü&c'.url_encode()", "a%20b%2F%C3%BC%26c"), ("'/a b/ü'.url_encode(keep='/')", "/a%20b/%C3%BC")],
)
def url_encode(budget: Budget, text: str, keep: str = "") -> str:
    """The text with everything but letters, digits, `-_.~` and what to `keep` percent-encoded (RFC 3986)."""
    data = _bytes(budget, text)
    if not as_text(keep).isascii() or len(keep) > 100:
        raise Fault("what is kept are ASCII characters")
    budget.text(len(data) * 3)
    return quote(data, safe=keep)


@method(str, name="url_decode", examples=[("'a%20b+c'.url_decode()", "a b c"), ("'a+b'.url_decode(plus=False)", "a+b")])
def url_decode(budget: Budget, text: str, plus: bool = True) -> str:
    """The text with percent-encoding undone, and `+` read as a space unless told not to."""
    budget.text(len(text))
    budget.spend(text.count("%") // 4)
    return unquote_plus(text) if plus else unquote(text)


@method(str, name="to_base64", examples=[("'hü'.to_base64()", "aMO8")])
def to_base64(budget: Budget, text: str) -> str:
    """The text's UTF-8 bytes in Base64."""
    data = _bytes(budget, text)
    budget.text(len(data) * 4 // 3 + 4)
    return base64.b64encode(data).decode()


@method(str, name="from_base64", examples=[("'aMO8'.from_base64()", "hü")])
def from_base64(budget: Budget, text: str) -> str:
    """The UTF-8 text that this Base64 holds; line breaks, a missing `=` and the URL alphabet are accepted."""
    return _from_base64(budget, text)


@method(str, name="to_base64url", examples=[("'a?>b~'.to_base64url()", "YT8-Yn4")])
def to_base64url(budget: Budget, text: str) -> str:
    """The text's UTF-8 bytes in the Base64 for addresses and tokens, without `=` (RFC 4648)."""
    data = _bytes(budget, text)
    budget.text(len(data) * 4 // 3 + 4)
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


@method(str, name="from_base64url", examples=[("'YT8-Yn4'.from_base64url()", "a?>b~")])
def from_base64url(budget: Budget, text: str) -> str:
    """The UTF-8 text that this Base64 for addresses and tokens holds."""
    return _from_base64(budget, text)


@method(str, name="to_hex", examples=[("'hü'.to_hex()", "68c3bc")])
def to_hex(budget: Budget, text: str) -> str:
    """The text's UTF-8 bytes in hexadecimal."""
    data = _bytes(budget, text)
    budget.text(len(data) * 2)
    return data.hex()


@method(str, name="from_hex", examples=[("'68c3bc'.from_hex()", "hü")])
def from_hex(budget: Budget, text: str) -> str:
    """The UTF-8 text that this hexadecimal holds."""
    budget.text(len(text))
    try:
        return bytes.fromhex(text).decode()
    except ValueError:
        raise Fault("the text is not hexadecimal of UTF-8 text") from None


@method(
    str, name="html_escape", examples=[("'<b>\"A\" & B</b>'.html_escape()", "&lt;b&gt;&quot;A&quot; &amp; B&lt;/b&gt;")]
)
def html_escape(budget: Budget, text: str) -> str:
    """The text as HTML shows it: `&`, `<`, `>` and quotation marks as entities."""
    special = sum(text.count(char) for char in "&<>\"'")
    budget.text(len(text) + special * ENTITY_CHARS_MAX)
    return html.escape(text)


@method(str, name="html_unescape", examples=[("'Caf&eacute; &amp; &#66;ar'.html_unescape()", "Café & Bar")])
def html_unescape(budget: Budget, text: str) -> str:
    """The text with HTML's entities replaced by their characters."""
    budget.text(len(text) * 2)
    # One that is not known is looked for by each of its prefixes.
    budget.spend(text.count("&") * 16)
    return html.unescape(text)


def _bytes(budget: Budget, text: str) -> bytes:
    budget.text(len(text))
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise Fault("the text holds half a character, which UTF-8 cannot") from None


def _from_base64(budget: Budget, text: str) -> str:
    budget.text(len(text) * 2)
    packed = "".join(text.split()).rstrip("=")
    try:
        data = base64.b64decode(
            packed + "=" * (-len(packed) % 4), altchars=b"-_" if {"-", "_"} & set(packed) else None, validate=True
        )
        return data.decode()
    except (binascii.Error, ValueError):
        raise Fault("the text is not Base64 of UTF-8 text") from None
