"""The first request on a connection to the proxy, read strictly: what two programs could read differently is refused.

RFC 9110 (CONNECT, 9.3.6) and RFC 9112 (request line, 3; absolute-form, 3.2.2; message body length, 6.3).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from budflow.model.host_pattern import allows

PORT_MAX = 65_535
HTTP_PORT = 80

_LINE = re.compile(rb"([A-Z]{1,32}) ([\x21-\x7e]{1,8000}) HTTP/1\.[01]")
#: Without the spaces around the value, which a pattern could divide in many ways: it would try them all.
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}):([\t\x20-\x7e\x80-\xff]*)")
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = rf"{_LABEL}(?:\.{_LABEL})*\.?"
_AUTHORITY = rf"(?P<host>{_NAME}|\[[0-9A-Fa-f:.]{{2,45}}\])"
_CONNECT = re.compile(rf"{_AUTHORITY}:(?P<port>[1-9][0-9]{{0,4}})", re.ASCII)
_ABSOLUTE = re.compile(rf"http://{_AUTHORITY}(?::(?P<port>[1-9][0-9]{{0,4}}))?(?P<rest>[/?].*)?", re.ASCII)
#: What the system's resolver may read as an address: 2130706433, 0x7f.1, 0177.0.0.1.
_NUMERIC = re.compile(r"(?:[0-9]+|0[xX][0-9A-Fa-f]*)\.?")
#: Of one connection only (RFC 9110, 7.6.1), and what is for the proxy.
_HOP_BY_HOP = frozenset({b"connection", b"keep-alive", b"te", b"trailer", b"upgrade", b"host"})
_NAME_BYTES_MAX = 253
_LENGTH_DIGITS_MAX = 15


class RequestRefused(Exception):
    """The proxy does not carry this out: the status that it answers with, and why, for a person to read."""

    def __init__(self, status: int, reason: str) -> None:
        self.status = status
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class ProxyRequest:
    """Where a connection is to lead. `head` is sent there first; a tunnel has none. `host` is as names are resolved."""

    host: str
    port: int
    head: bytes = b""
    body_bytes: int | None = None  # None: a tunnel, which carries whatever is sent.


def parse_request(head: bytes) -> ProxyRequest:
    """Read everything up to the empty line, without it. Raises RequestRefused."""
    first, *lines = head.split(b"\r\n")
    line = _LINE.fullmatch(first)
    if line is None:
        raise RequestRefused(400, "This is no request of HTTP/1.1.")
    method, target = line[1], line[2].decode("ascii")
    headers = [_header(text) for text in lines]
    length = _body_bytes(headers)
    if method == b"CONNECT":
        found = _CONNECT.fullmatch(target)
        if found is None:
            raise RequestRefused(400, "CONNECT wants `host:port`, with a host in ASCII and without a user.")
        if length:
            raise RequestRefused(400, "CONNECT has no body.")
        return ProxyRequest(_host(found["host"]), _port(found["port"]))
    found = _ABSOLUTE.fullmatch(target)
    if found is None:
        raise RequestRefused(400, "This proxy wants `http://host/path`, or CONNECT for https.")
    host, port = _host(found["host"]), _port(found["port"] or str(HTTP_PORT))
    rest = found["rest"] or "/"
    path = (rest if rest.startswith("/") else f"/{rest}").encode("ascii")
    shown = host if port == HTTP_PORT else f"{host}:{port}"
    dropped = _of_this_connection(headers)
    kept = [b": ".join(header) for header in headers if _goes_on(header[0].lower(), dropped)]
    request = [method + b" " + path + b" HTTP/1.1", b"Host: " + shown.encode("ascii"), *kept, b"Connection: close"]
    return ProxyRequest(host, port, b"\r\n".join(request) + b"\r\n\r\n", length)


def covers(patterns: Iterable[str], host: str, port: int) -> bool:
    """Whether one of the patterns names the host: without a port it is for 80 and 443, with `http://` for 80 alone."""
    named = list(patterns)
    plain = [pattern if "://" in pattern else f"http://{pattern}" for pattern in named]
    return allows(named, f"https://{host}:{port}") or allows(plain, f"http://{host}:{port}")


def _header(line: bytes) -> tuple[bytes, bytes]:
    found = _HEADER.fullmatch(line)
    if found is None:
        raise RequestRefused(400, "A header cannot be read.")
    return found[1], found[2].strip(b" \t")


def _body_bytes(headers: Iterable[tuple[bytes, bytes]]) -> int:
    lengths = []
    for name, value in headers:
        if name.lower() == b"transfer-encoding":
            raise RequestRefused(411, "Send a Content-Length with the request, or use https.")
        if name.lower() == b"content-length":
            lengths.append(value)
    if not lengths:
        return 0
    if len(lengths) > 1 or not (lengths[0].isdigit() and len(lengths[0]) <= _LENGTH_DIGITS_MAX):
        raise RequestRefused(400, "The Content-Length cannot be read.")
    return int(lengths[0])


def _of_this_connection(headers: Iterable[tuple[bytes, bytes]]) -> frozenset[bytes]:
    """The names of headers, in small letters, that are not passed on."""
    named = {
        token.strip().lower()
        for key, value in headers
        if key.lower() in {b"connection", b"proxy-connection"}
        for token in value.split(b",")
    }
    return _HOP_BY_HOP | named


def _goes_on(name: bytes, dropped: frozenset[bytes]) -> bool:
    return name not in dropped and not name.startswith(b"proxy-")


def _host(text: str) -> str:
    """One spelling of each host. A name that the system could read as an address is none."""
    if text.startswith("["):
        try:
            return f"[{IPv6Address(text[1:-1])}]"
        except ValueError:
            raise RequestRefused(400, "What stands in the brackets is no IPv6 address.") from None
    name = text.lower().removesuffix(".")
    if len(name) > _NAME_BYTES_MAX:
        raise RequestRefused(400, "The host's name is too long.")
    if _NUMERIC.fullmatch(name.rpartition(".")[2]):
        try:
            return str(IPv4Address(name))
        except ValueError:
            raise RequestRefused(400, "This host is neither a name nor an address of four numbers.") from None
    return name


def _port(text: str) -> int:
    port = int(text)
    if port > PORT_MAX:
        raise RequestRefused(400, f"A port is a number from 1 to {PORT_MAX}.")
    return port
