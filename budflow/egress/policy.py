"""Which addresses a workflow may reach: pure rules, asked by the transport about every address before it connects."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import ClassVar

from budflow.errors import BudflowError

IpAddress = IPv4Address | IPv6Address
IpNetwork = IPv4Network | IPv6Network

# `ipaddress.is_global` differs between patch releases of Python 3.11 and calls multicast global, so the IANA
# special-purpose registries (RFC 6890) stand here whole; the few anycast services inside them are refused as well.
REFUSED_V4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carrier-grade NAT; Alibaba's metadata service among it
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # Azure's host service: a public address that answers only from inside
        "169.254.0.0/16",  # link-local: most clouds' metadata service
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments; Oracle's metadata service among it
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relay (RFC 7526)
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
GLOBAL_UNICAST_V6 = IPv6Network("2000::/3")  # All that is handed out; loopback, ULA, link-local and so on lie outside.
REFUSED_V6 = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments; Teredo (2001::/32) embeds an IPv4 address
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4 embeds an IPv4 address
        "3fff::/20",  # documentation
    )
)
# RFC 6052. On a network without IPv4 every IPv4 site has such an address, so this one is judged by what it embeds.
NAT64 = IPv6Network("64:ff9b::/96")

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PORT_MAX = 65_535


class AllowRuleInvalid(BudflowError):
    """A rule of BUDFLOW_HTTP_ALLOW cannot be read."""

    code = "http.allow_rule_invalid"
    http_status = 422
    hint = (
        "Write each rule as host, *.suffix, IP address or network (10.0.0.0/8), with :port where only one is meant; "
        "several are separated by commas."
    )


class AddressRefused(BudflowError):
    """The address is not a public one, and no rule allows it."""

    code = "http.address_refused"
    http_status = 403
    hint = "Where workflows may reach it, the server's operator adds its host, IP or network to BUDFLOW_HTTP_ALLOW."
    retriable: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class AllowRule:
    """One exception, on one port or all: a host as URLs name it (`*.` for all below it), or a network of addresses."""

    target: str | IpNetwork
    port: int | None = None

    def covers(self, host: str, port: int, ip: IpAddress) -> bool:
        """Whether this rule names the address; `host` is normalised, `ip` is never an IPv4-mapped one."""
        if self.port not in (None, port):
            return False
        if not isinstance(self.target, str):
            return ip in self.target
        return host.endswith(self.target[1:]) if self.target.startswith("*.") else host == self.target


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """Public addresses are allowed, all others only by a rule.

    A rule for a host trusts its name, whatever it resolves to; a rule for a network trusts its addresses, whatever
    name led there.
    """

    allow: tuple[AllowRule, ...] = ()

    def check(self, host: str, port: int, ip: IpAddress) -> None:
        """Raise AddressRefused unless a connection to `ip`, which `host` resolved to, may be opened."""
        ip = _unmapped(ip)
        if is_public(ip):
            return
        name = _normalised(host)
        if any(rule.covers(name, port, ip) for rule in self.allow):
            return
        raise AddressRefused(
            f"{host}:{port} leads to {ip}, which is not a public address", host=host, port=port, address=str(ip)
        )


def parse_allow(texts: Iterable[str]) -> tuple[AllowRule, ...]:
    """Read rules: `host`, `*.suffix`, `ip`, `cidr`, each with `:port` or without (IPv6 then in brackets).

    Raises AllowRuleInvalid.
    """
    return tuple(_parse_rule(text.strip()) for text in texts)


def is_public(ip: IpAddress) -> bool:
    """Whether the address is globally routable unicast; where it embeds an IPv4 address, that one must be too."""
    ip = _unmapped(ip)
    if isinstance(ip, IPv4Address):
        return not any(ip in network for network in REFUSED_V4)
    if ip in NAT64:
        return is_public(IPv4Address(ip.packed[-4:]))
    return ip in GLOBAL_UNICAST_V6 and not any(ip in network for network in REFUSED_V6)


def _unmapped(ip: IpAddress) -> IpAddress:
    """An IPv4-mapped address (::ffff:a.b.c.d) makes the system speak IPv4, so it is judged as that."""
    return (ip.ipv4_mapped or ip) if isinstance(ip, IPv6Address) else ip


def _normalised(host: str) -> str:
    """Lower case, without trailing dot, international labels as `xn--`: so the two sides of a comparison are alike."""
    try:
        return host.encode("idna").decode("ascii").lower().rstrip(".")
    except UnicodeError:  # A name that cannot exist equals no rule.
        return host.lower().rstrip(".")


def _parse_rule(text: str) -> AllowRule:
    bracketed = text.startswith("[") and text.endswith("]")
    network = _network(text[1:-1] if bracketed else text)
    if network is not None:
        return AllowRule(network)
    target, colon, port = text.rpartition(":")
    if not colon:
        return AllowRule(_host(text, text))
    if not (port.isascii() and port.isdigit() and 0 < int(port) <= _PORT_MAX):
        raise AllowRuleInvalid(f"{text!r}: the port is not a number from 1 to {_PORT_MAX}", rule=text)
    if target.startswith("[") and target.endswith("]"):
        network = _network(target[1:-1])
        if network is None:
            raise AllowRuleInvalid(f"{text!r}: no IPv6 address stands in the brackets", rule=text)
    else:
        network = _network(target)
    return AllowRule(network if network is not None else _host(target, text), int(port))


def _network(text: str) -> IpNetwork | None:
    """An address or a network, or None when the text is neither (a network with host bits set is neither)."""
    try:
        if "/" in text:
            return ip_network(text)
        return ip_network(_unmapped(ip_address(text)))
    except ValueError:
        return None


def _host(text: str, rule: str) -> str:
    suffix = text.startswith("*.")
    labels = _normalised(text.removeprefix("*.")).split(".")
    if not all(_LABEL.fullmatch(label) for label in labels):
        raise AllowRuleInvalid(f"{rule!r} is neither a host nor an address nor a network", rule=rule)
    if _NUMERIC_LABEL.fullmatch(labels[-1]):  # 127.1 and 2130706433 are addresses to the system, not names.
        raise AllowRuleInvalid(f"{rule!r} is an incomplete or oddly written address", rule=rule)
    return ("*." if suffix else "") + ".".join(labels)
