"""Text: whether it is an address, a number, a date or something else that is known; never a failure."""

import ipaddress
import re
from urllib.parse import urlsplit

from budflow.expressions.budget import Budget
from budflow.expressions.declare import method
from budflow.expressions.time_formats import is_time

EMAIL_CHARS_MAX = 254  # RFC 5321.
DOMAIN_CHARS_MAX = 253
SHORT_CHARS_MAX = 2_048
LABEL = re.compile(r"[^\W_](?:[\w-]{0,61}[^\W_])?", re.U)
LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
DECIMAL = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?", re.A)
HEX_DIGITS = "0123456789abcdefABCDEF"
COLOUR = re.compile(r"#(?:[0-9a-fA-F]{3,4}|[0-9a-fA-F]{6}|[0-9a-fA-F]{8})")
PHONE = re.compile(r"\+[1-9]\d{6,14}", re.A)
PHONE_SIGNS = str.maketrans("", "", " ()-./")
IBAN = re.compile(r"[A-Z]{2}\d{2}[A-Z0-9]{10,30}", re.A)
SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")


@method(
    str,
    name="is_email",
    examples=[("'ada@example.org'.is_email()", True), ("'ada@localhost'.is_email()", False)],
)
def is_email(budget: Budget, text: str) -> bool:
    """Whether the text is one e-mail address, such as `ada@example.org`."""
    local, at, domain = text[: EMAIL_CHARS_MAX + 1].rpartition("@")
    return (
        bool(at)
        and len(text) <= EMAIL_CHARS_MAX
        and len(local) <= 64
        and bool(LOCAL.fullmatch(local))
        and _domain(domain)
    )


@method(str, name="is_url", examples=[("'https://example.org/a'.is_url()", True), ("'example.org'.is_url()", False)])
def is_url(budget: Budget, text: str) -> bool:
    """Whether the text is one absolute URL with http, https, ftp, ws or wss, and a host."""
    if len(text) > SHORT_CHARS_MAX or any(char.isspace() for char in text):
        return False
    try:
        parts = urlsplit(text)
        known = parts.scheme in ("http", "https", "ftp", "ws", "wss") and parts.port != 0
    except ValueError:
        return False
    host = parts.hostname or ""
    return known and (_domain(host) or host == "localhost" or _ip(host) is not None)


@method(
    str, name="is_domain", examples=[("'example.org'.is_domain()", True), ("'https://example.org'.is_domain()", False)]
)
def is_domain(budget: Budget, text: str) -> bool:
    """Whether the text is the name of a host, with at least one dot."""
    return _domain(text)


@method(
    str,
    name="is_ip",
    examples=[("'192.0.2.1'.is_ip()", True), ("'2001:db8::1'.is_ip()", True), ("'1.2.3'.is_ip()", False)],
)
def is_ip(budget: Budget, text: str) -> bool:
    """Whether the text is an IPv4 or IPv6 address."""
    return _ip(text) is not None


@method(str, name="is_ipv4", examples=[("'192.0.2.1'.is_ipv4()", True)])
def is_ipv4(budget: Budget, text: str) -> bool:
    """Whether the text is an IPv4 address."""
    return _ip(text) == 4


@method(str, name="is_ipv6", examples=[("'2001:db8::1'.is_ipv6()", True)])
def is_ipv6(budget: Budget, text: str) -> bool:
    """Whether the text is an IPv6 address."""
    return _ip(text) == 6


@method(str, name="is_uuid", examples=[("'0b9d9a7c-8f51-4b0e-9c0f-3a8d1f0e6b3a'.is_uuid()", True)])
def is_uuid(budget: Budget, text: str) -> bool:
    """Whether the text is a UUID, with its hyphens."""
    return len(text) == 36 and UUID.fullmatch(text) is not None


@method(str, name="is_numeric", examples=[("'-1.5e3'.is_numeric()", True), ("'12 km'.is_numeric()", False)])
def is_numeric(budget: Budget, text: str) -> bool:
    """Whether the text is one number, with `.` before a fraction."""
    return len(text) <= SHORT_CHARS_MAX and DECIMAL.fullmatch(text.strip()) is not None


@method(str, name="is_integer", examples=[("'-12'.is_integer()", True), ("'1.0'.is_integer()", False)])
def is_integer(budget: Budget, text: str) -> bool:
    """Whether the text is one whole number."""
    digits = text.strip().removeprefix("-").removeprefix("+") if len(text) <= SHORT_CHARS_MAX else ""
    return digits.isascii() and digits.isdigit()


@method(str, name="is_date", examples=[("'31 January 2026'.is_date()", True), ("'2026-02-30'.is_date()", False)])
def is_date(budget: Budget, text: str) -> bool:
    """Whether the text is a date or datetime in one of the formats that parse_datetime() reads by itself."""
    return is_time(text)


@method(str, name="is_hex", examples=[("'00ff'.is_hex()", True), ("'0f0'.is_hex()", False)])
def is_hex(budget: Budget, text: str) -> bool:
    """Whether the text is bytes in hexadecimal."""
    budget.text(len(text))
    return bool(text) and len(text) % 2 == 0 and not text.strip(HEX_DIGITS)


@method(str, name="is_color", examples=[("'#ff8800'.is_color()", True)])
def is_color(budget: Budget, text: str) -> bool:
    """Whether the text is a colour such as `#f80` or `#ff8800`."""
    return len(text) <= 9 and COLOUR.fullmatch(text) is not None


@method(str, name="is_phone", examples=[("'+49 (30) 1234-567'.is_phone()", True), ("'12345'.is_phone()", False)])
def is_phone(budget: Budget, text: str) -> bool:
    """Whether the text is an international telephone number: `+` and 7 to 15 digits (E.164)."""
    return len(text) <= 40 and PHONE.fullmatch(text.translate(PHONE_SIGNS)) is not None


@method(
    str,
    name="is_credit_card",
    examples=[("'4111 1111 1111 1111'.is_credit_card()", True), ("'4111 1111 1111 1112'.is_credit_card()", False)],
)
def is_credit_card(budget: Budget, text: str) -> bool:
    """Whether the text is 12 to 19 digits whose check digit fits (Luhn)."""
    digits = text.replace(" ", "").replace("-", "") if len(text) <= 40 else ""
    if not (digits.isascii() and digits.isdigit() and 12 <= len(digits) <= 19):
        return False
    doubled = [int(digit) * (2 if at % 2 else 1) for at, digit in enumerate(reversed(digits))]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


@method(str, name="is_iban", examples=[("'DE89 3704 0044 0532 0130 00'.is_iban()", True)])
def is_iban(budget: Budget, text: str) -> bool:
    """Whether the text is an account number whose check digits fit (ISO 13616)."""
    packed = text.replace(" ", "").upper() if len(text) <= 50 else ""
    if IBAN.fullmatch(packed) is None:
        return False
    return int("".join(str(int(char, 36)) for char in packed[4:] + packed[:4])) % 97 == 1


@method(str, name="is_slug", examples=[("'under-the-bridge'.is_slug()", True)])
def is_slug(budget: Budget, text: str) -> bool:
    """Whether the text is small ASCII letters and digits, joined by single hyphens."""
    return len(text) <= SHORT_CHARS_MAX and SLUG.fullmatch(text) is not None


def _domain(name: str) -> bool:
    if not 0 < len(name) <= DOMAIN_CHARS_MAX:
        return False
    labels = name.split(".")
    return (
        len(labels) > 1
        and not labels[-1].isdigit()
        and len(labels[-1]) > 1
        and all(len(label) <= 63 and LABEL.fullmatch(label) and "_" not in label for label in labels)
    )


def _ip(text: str) -> int | None:
    try:
        return ipaddress.ip_address(text).version if len(text) <= 45 else None
    except ValueError:
        return None
