"""Patterns of hosts: which addresses they cover, and which of them reach further than others."""

import re
from collections.abc import Iterable
from ipaddress import IPv6Address
from typing import NamedTuple

#: `api.example.com`, `*.example.com:8443`, `http://crm.internal` or `*`.
HOST_PATTERN = (
    r"^(?:https?://)?(?:\*|(?:\*\.)?[a-z0-9](?:[a-z0-9.-]{0,252}[a-z0-9])?|\[[0-9a-f:.]{2,45}\])(?::\d{1,5})?$"
)
DEFAULT_PORTS = {"http": 80, "https": 443}

# RFC 3986, 3.2, in ASCII and without percent-encoded hosts; no label of a name is empty. Whoever is sent to an
# international name is sent to its ASCII form, xn--….
_HOST = r"(?P<host>[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?|\[[0-9A-Fa-f:.]+\])"
_ADDRESS = re.compile(
    rf"(?P<scheme>https?)://(?:[^\s/?#@\\]*@)?{_HOST}(?::(?P<port>[0-9]{{0,5}}))?(?=[/?#]|\Z)", re.IGNORECASE | re.ASCII
)
_PATTERN = re.compile(r"(?:(?P<scheme>https?)://)?(?P<host>\[[^\]]*\]|[^:\[\]]+)(?::(?P<port>[0-9]+))?")


class _Reach(NamedTuple):
    """What an address or a pattern leads to. A host `*` is any, `*.` begins that of all below a name; a port None is
    any.
    """

    scheme: str
    host: str
    port: int | None


def allows(patterns: Iterable[str], url: str) -> bool:
    """Whether one of the patterns covers the address. One without `http://` asks for HTTPS; one without a port for the
    scheme's own, but `*` for any. An address that programs could read in more than one way is covered by none.
    """
    target = _target(url)
    return target is not None and any(_within(target, known) for known in _reaches(patterns))


def widens(before: Iterable[str], after: Iterable[str]) -> bool:
    """Whether `after` has a pattern that no single one of `before` covers whole."""
    old = _reaches(before)
    return any(not any(_within(new, known) for known in old) for new in _reaches(after))


def _target(url: str) -> _Reach | None:
    matched = _ADDRESS.match(url)
    if matched is None:
        return None
    scheme = matched["scheme"].lower()
    host = _canonical(matched["host"])
    return _Reach(scheme, host, int(matched["port"] or DEFAULT_PORTS[scheme])) if host else None


def _reaches(patterns: Iterable[str]) -> list[_Reach]:
    return [_reach(matched) for matched in map(_PATTERN.fullmatch, patterns) if matched is not None]


def _reach(matched: re.Match[str]) -> _Reach:
    scheme, host, port = matched["scheme"] or "https", _canonical(matched["host"]), matched["port"]
    own_port = None if host == "*" else DEFAULT_PORTS[scheme]
    return _Reach(scheme, host, int(port) if port else own_port)


def _within(new: _Reach, known: _Reach) -> bool:
    if new.scheme != known.scheme or known.port not in (None, new.port):
        return False
    host, wide = new.host, known.host
    return host == wide or wide == "*" or (wide.startswith("*.") and host != "*" and host.endswith(wide[1:]))


def _canonical(host: str) -> str:
    """One spelling for each host: small letters, no dot of the root at its end, IPv6 as RFC 5952 writes it; "" for what
    is no IPv6 address in spite of its brackets.
    """
    if host.startswith("["):
        try:
            return f"[{IPv6Address(host[1:-1])}]"
        except ValueError:
            return ""
    return host.lower().removesuffix(".")
