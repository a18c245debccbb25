"""Where patterns of hosts let a credential go, and which let it go further: in doubt it may not."""

import contextlib
import re
from itertools import product

import httpx2
import pytest
from hypothesis import given, strategies as st

from budflow.model.host_pattern import HOST_PATTERN, allows, widens

HOST = ("api.example.com",)


@pytest.mark.parametrize(
    ("pattern", "url"),
    [
        ("api.example.com", "https://api.example.com"),
        ("api.example.com", "https://api.example.com/orders?x=1#y"),
        ("api.example.com", "HTTPS://API.Example.COM/orders"),
        ("api.example.com", "https://api.example.com./orders"),
        ("api.example.com", "https://api.example.com:443/orders"),
        ("api.example.com", "https://api.example.com:/orders"),
        ("api.example.com", "https://user:pass@api.example.com/"),
        ("api.example.com", "https://api.example.com?next=https://evil.com"),
        ("api.example.com", "https://api.example.com#@evil.com"),
        ("api.example.com", r"https://api.example.com/\@evil.com"),
        ("https://api.example.com", "https://api.example.com/"),
        ("api.example.com:8443", "https://api.example.com:8443/"),
        ("api.example.com:443", "https://api.example.com/"),
        ("*.example.com", "https://api.example.com/"),
        ("*.example.com", "https://a.b.example.com/"),
        ("*.example.com:8443", "https://a.example.com:8443/"),
        ("http://crm.internal", "http://crm.internal/"),
        ("http://crm.internal", "http://crm.internal:80/"),
        ("http://crm.internal:8080", "http://crm.internal:8080/"),
        ("http://*.internal", "http://crm.internal/"),
        ("xn--mnchen-3ya.example", "https://xn--mnchen-3ya.example/"),
        ("192.0.2.7", "https://192.0.2.7/"),
        ("[2001:db8::1]", "https://[2001:db8::1]/"),
        ("[2001:db8::1]", "https://[2001:0DB8:0:0::1]:443/"),
        ("[2001:db8:0:0::1]:8443", "https://[2001:db8::1]:8443/"),
        ("*", "https://anything.example/"),
        ("*", "https://anything.example:8443/"),
        ("*", "https://[2001:db8::1]/"),
        ("*:8443", "https://anything.example:8443/"),
        ("http://*", "http://anything.example:8080/"),
    ],
)
def test_addresses_that_a_pattern_covers(pattern: str, url: str) -> None:
    assert re.fullmatch(HOST_PATTERN, pattern)
    assert allows((pattern,), url)


@pytest.mark.parametrize(
    ("pattern", "url"),
    [
        ("api.example.com", "https://evil.com/"),
        ("api.example.com", "https://www.api.example.com/"),
        ("api.example.com", "https://api.example.com.evil.com/"),
        ("api.example.com", "https://evilapi.example.com/"),
        ("api.example.com", "https://apixexample.com/"),
        ("api.example.com", "http://api.example.com/"),
        ("api.example.com", "http://api.example.com:443/"),
        ("api.example.com", "https://api.example.com:8443/"),
        ("api.example.com", "https://api.example.com:0/"),
        ("api.example.com", "https://api.example.com:99999/"),
        ("api.example.com", "https://api.example.com:4 43/"),
        ("api.example.com", "https://api.example.com:\uff14\uff14\uff13/"),
        ("api.example.com", "https://api.example.com.../"),
        ("api.example.com", "ftp://api.example.com/"),
        ("api.example.com", "file://api.example.com/etc/passwd"),
        ("api.example.com", "//api.example.com/"),
        ("api.example.com", "api.example.com"),
        ("api.example.com", "https:api.example.com"),
        ("api.example.com", "https:///api.example.com"),
        ("api.example.com", ""),
        ("api.example.com:8443", "https://api.example.com/"),
        ("*.example.com", "https://example.com/"),
        ("*.example.com", "https://.example.com/"),
        ("*.example.com", "https://evilexample.com/"),
        ("*.example.com", "https://a.example.com:8443/"),
        ("*.example.com", "https://evil.com%2f.example.com/"),
        ("http://crm.internal", "https://crm.internal/"),
        ("http://crm.internal", "http://crm.internal:8080/"),
        ("*", "http://anything.example/"),
        ("*:8443", "https://anything.example/"),
        ("192.0.2.7", "https://3221225991/"),
        ("192.0.2.7", "https://0xc0.0.2.7/"),
        ("[2001:db8::1]", "https://[2001:db8::2]/"),
        ("[2001:db8::1]", "https://[2001:db8::1/"),
        ("[::ffff:192.0.2.7]", "https://192.0.2.7/"),
        ("[fe80::1]", "https://[fe80::1%25eth0]/"),
    ],
)
def test_addresses_that_a_pattern_does_not_cover(pattern: str, url: str) -> None:
    assert re.fullmatch(HOST_PATTERN, pattern)
    assert not allows((pattern,), url)


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.com@evil.com/",
        "https://api.example.com:443@evil.com/",
        "https://api.example.com%40evil.com/",
        "https://x@api.example.com@evil.com/",
        "https://x@evil.com@api.example.com/",
        r"https://evil.com\@api.example.com/",
        r"https://api.example.com\@evil.com/",
        r"https:\\api.example.com/",
        r"https://api.example.com\.evil.com/",
        "https://evil.com/https://api.example.com/",
        "https://evil.com?https://api.example.com/",
        "https://evil.com#@api.example.com/",
        "https://api.example.com .evil.com/",
        " https://api.example.com/",
        "https://api.example\t.com/",
        "https://api.example.com\n.evil.com/",
        "https://api。example。com/",
        "https://\uff41pi.example.com/",
        "https://api.example.com。evil.com/",
        "https://\u0430pi.example.com/",
        "https://api%2eexample.com/",
        "https://api.example.com%00.evil.com/",
        "https://api.example.com;evil.com/",
        "https://[api.example.com]/",
        "https://api.example.com[::1]/",
    ],
)
def test_what_parsers_read_differently_is_never_covered(url: str) -> None:
    assert not allows(HOST, url)


def test_one_of_several_patterns_is_enough_and_none_is_none() -> None:
    assert allows(("a.example", "b.example:8443"), "https://b.example:8443/")
    assert not allows((), "https://a.example/")


@given(st.text(st.sampled_from("api.exmlcovhts:/@\\?#[]%- \t\n.:80443。")))
def test_what_is_covered_is_what_the_client_connects_to(rest: str) -> None:
    for url in (f"https://{rest}", f"https://api.example.com{rest}", f"https://{rest}api.example.com"):
        if allows(HOST, url):
            with contextlib.suppress(httpx2.InvalidURL):  # Then nothing is sent.
                sent = httpx2.URL(url)
                assert (sent.scheme, sent.host.rstrip("."), sent.port or 443) == ("https", "api.example.com", 443)


@given(st.text())
def test_no_text_makes_it_fail(url: str) -> None:
    allows(("*", "a.example", "*.b.example:1", "[::1]"), url)
    allows(("*", "a.example", "*.b.example:1", "[::1]"), f"https://{url}")


@pytest.mark.parametrize(
    "pattern",
    ["", "*.*.com", "a.*", "*x.com", "API.example.com", "a/b", "a@b", "https://", "ftp://a", "a:", "a:123456", "[a]x"],
)
def test_a_pattern_that_could_be_misread_is_none(pattern: str) -> None:
    assert not re.fullmatch(HOST_PATTERN, pattern)


@pytest.mark.parametrize(
    ("before", "after", "further"),
    [
        (["a.example"], ["a.example"], False),
        (["a.example", "b.example"], ["b.example"], False),
        (["a.example"], [], False),
        ([], ["a.example"], True),
        (["a.example"], ["b.example"], True),
        (["a.example"], ["*"], True),
        (["*"], ["a.example", "a.example:8443", "*.b.example", "*:8443"], False),
        (["*"], ["http://a.example"], True),
        (["http://*"], ["a.example"], True),
        (["a.example"], ["http://a.example"], True),
        (["http://a.example"], ["http://a.example:80"], False),
        (["a.example"], ["a.example:443"], False),
        (["a.example"], ["a.example:8443"], True),
        (["a.example:8443"], ["a.example"], True),
        (["*:8443"], ["a.example:8443"], False),
        (["*:8443"], ["a.example"], True),
        (["*:8443"], ["*"], True),
        (["*.example.com"], ["a.example.com", "*.a.example.com"], False),
        (["*.example.com"], ["example.com"], True),
        (["*.example.com"], ["badexample.com"], True),
        (["*.example.com"], ["*.com"], True),
        (["*.a.example.com"], ["*.example.com"], True),
        (["*.example.com"], ["*"], True),
        (["[::1]:8443"], ["[::1]:8443"], False),
        (["[::1]"], ["[::1]:8443"], True),
        (["https://a.example"], ["a.example"], False),
    ],
)
def test_hosts_widen(before: list[str], after: list[str], further: bool) -> None:
    assert widens(before, after) == further


SCHEMES = ("https", "http")
HOSTS = ("example.com", "a.example.com", "b.a.example.com", "badexample.com", "com")
PORTS = ("", ":443", ":80", ":8443")
ADDRESSES = [f"{scheme}://{host}{port}/" for scheme, host, port in product(SCHEMES, HOSTS, PORTS)]
PATTERNS = [
    f"{scheme}{host}{port}"
    for scheme, host, port in product(
        ("", "http://", "https://"), (*HOSTS, *(f"*.{host}" for host in HOSTS), "*"), PORTS
    )
]


def test_hosts_that_do_not_widen_allow_no_address_that_was_not_allowed() -> None:
    reached = {pattern: {url for url in ADDRESSES if allows((pattern,), url)} for pattern in PATTERNS}

    for before, after in product(PATTERNS, PATTERNS):
        assert widens([before], [after]) or reached[after] <= reached[before], (before, after)
