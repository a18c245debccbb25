"""The address policy: what is public, what is refused, and what a rule lets through."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given, strategies as st

from budflow.egress.policy import (
    REFUSED_V4,
    AddressPolicy,
    AddressRefused,
    AllowRule,
    AllowRuleInvalid,
    is_public,
    parse_allow,
)

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "93.184.215.14",
    "100.63.255.255",
    "100.128.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "169.253.255.255",
    "192.31.196.1",
    "198.17.255.255",
    "223.255.255.255",
    "2606:4700:4700::1111",
    "2a00:1450:4001:81b::200e",
    "2001:4860:4860::8888",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
]
REFUSED = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.100.100.200",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "169.254.170.2",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.7",
    "203.0.113.7",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::8.8.8.8",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::169.254.169.254",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::8.8.8.8",
    "100::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:2::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:a9fe:a9fe::",
    "3fff::1",
    "4000::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
]


@pytest.mark.parametrize("text", PUBLIC)
def test_a_public_address_is_allowed(text: str) -> None:
    AddressPolicy().check("some.example", 443, ip_address(text))


@pytest.mark.parametrize("text", REFUSED)
def test_an_address_that_is_not_public_is_refused(text: str) -> None:
    with pytest.raises(AddressRefused) as refused:
        AddressPolicy().check("some.example", 443, ip_address(text))
    assert refused.value.code == "http.address_refused"
    assert "BUDFLOW_HTTP_ALLOW" in refused.value.hint
    assert not refused.value.retriable


private_v4 = st.sampled_from(REFUSED_V4).flatmap(
    lambda network: st.integers(int(network.network_address), int(network.broadcast_address)).map(IPv4Address)
)


@given(private_v4)
def test_a_refused_ipv4_address_stays_refused_inside_an_ipv6_one(address: IPv4Address) -> None:
    low = int(address)
    embedded = {
        "mapped": 0xFFFF << 32 | low,
        "compatible": low,
        "translated": 0xFFFF << 48 | low,
        "nat64": 0x64FF9B << 96 | low,
        "nat64, local use": 0x64FF9B0001 << 80 | low,
        "6to4": 0x2002 << 112 | low << 80,
        "teredo": 0x20010000 << 96 | (low ^ 0xFFFFFFFF),
    }
    assert not is_public(address)
    assert [name for name, number in embedded.items() if is_public(IPv6Address(number))] == []


@given(st.ip_addresses())
def test_what_python_knows_not_to_be_global_is_refused(address: IPv4Address | IPv6Address) -> None:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    judged = mapped or address
    if judged.is_multicast or not judged.is_global:
        assert not is_public(address)


@pytest.mark.parametrize(
    ("rule", "host", "port", "address"),
    [
        ("intranet", "intranet", 80, "10.0.0.1"),
        ("Intranet.", "INTRANET", 80, "10.0.0.1"),
        ("intranet", "intranet.", 80, "10.0.0.1"),
        ("intranet:8080", "intranet", 8080, "10.0.0.1"),
        ("*.corp.example", "a.b.corp.example", 443, "10.0.0.1"),
        ("*.corp.example:443", "a.corp.example", 443, "fd00::1"),
        ("bücher.example", "xn--bcher-kva.example", 443, "10.0.0.1"),
        ("10.0.0.1", "any.example", 80, "10.0.0.1"),
        ("10.0.0.1:80", "any.example", 80, "10.0.0.1"),
        ("10.0.0.0/8", "any.example", 80, "10.9.8.7"),
        ("10.0.0.0/8", "any.example", 80, "::ffff:10.9.8.7"),
        ("10.0.0.0/8:80", "any.example", 80, "10.9.8.7"),
        ("::1", "any.example", 80, "::1"),
        ("[::1]", "any.example", 80, "::1"),
        ("[::1]:80", "any.example", 80, "::1"),
        ("::ffff:10.0.0.1", "any.example", 80, "10.0.0.1"),
        ("fd00::/8", "any.example", 80, "fd12::1"),
        ("64:ff9b::/96", "any.example", 80, "64:ff9b::10.0.0.1"),
    ],
)
def test_a_rule_lets_its_address_through(rule: str, host: str, port: int, address: str) -> None:
    AddressPolicy(parse_allow([rule])).check(host, port, ip_address(address))


@pytest.mark.parametrize(
    ("rule", "host", "port", "address"),
    [
        ("intranet", "intranet.evil.example", 80, "10.0.0.1"),
        ("intranet:8080", "intranet", 80, "10.0.0.1"),
        ("*.corp.example", "corp.example", 443, "10.0.0.1"),
        ("*.corp.example", "evilcorp.example", 443, "10.0.0.1"),
        ("10.0.0.1", "10.0.0.1.evil.example", 80, "10.0.0.2"),
        ("10.0.0.1:80", "any.example", 81, "10.0.0.1"),
        ("10.0.0.0/8", "any.example", 80, "172.16.0.1"),
        ("10.0.0.0/8", "any.example", 80, "64:ff9b::10.0.0.1"),
        ("::1", "any.example", 80, "127.0.0.1"),
    ],
)
def test_a_rule_lets_nothing_else_through(rule: str, host: str, port: int, address: str) -> None:
    policy = AddressPolicy(parse_allow([rule]))
    with pytest.raises(AddressRefused):
        policy.check(host, port, ip_address(address))


@pytest.mark.parametrize(
    "rule",
    [
        "",
        "*",
        "*.",
        "a b",
        "http://intranet",
        "intranet/path",
        "intranet:http",
        "intranet:0",
        "intranet:65536",
        ":80",
        "10.0.0.1/8",
        "10.0.0.0/33",
        "[intranet]:80",
        "user@intranet",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "a.*.example",
        "-a.example",
        "x" * 64,
    ],
)
def test_a_rule_that_cannot_be_read_is_an_error(rule: str) -> None:
    with pytest.raises(AllowRuleInvalid) as invalid:
        parse_allow([rule])
    assert invalid.value.code == "http.allow_rule_invalid"
    assert "*.suffix" in invalid.value.hint


def test_rules_are_read_with_space_around_them() -> None:
    assert parse_allow([" intranet:80 "]) == (AllowRule("intranet", 80),)
