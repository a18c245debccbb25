"""Where a credential may be sent, and which workflows may use it: in doubt it may not."""

import contextlib
import re

import httpx2
import pytest
from hypothesis import given, strategies as st

from budflow.model.credential import HOST_PATTERN, NAME_PATTERN, Grants, allows

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


@pytest.mark.parametrize("name", ["crm", "crm-token", "a.b_c-1", "crd"])
def test_names_of_credentials(name: str) -> None:
    assert re.fullmatch(NAME_PATTERN, name)


@pytest.mark.parametrize("name", ["", "CRM", "crd_1", "1a", "-a", "a b", "a" * 65, "ä"])
def test_what_is_no_name(name: str) -> None:
    assert not re.fullmatch(NAME_PATTERN, name)


@pytest.mark.parametrize(
    ("grants", "workflow", "author", "may"),
    [
        (Grants(), "wf_1", "usr_1", False),
        (Grants(project=True), "wf_1", "usr_1", True),
        (Grants(principals=frozenset({"usr_1"})), "wf_1", "usr_1", True),
        (Grants(principals=frozenset({"usr_1"})), "wf_1", "usr_2", False),
        (Grants(principals=frozenset({"usr_1"})), "usr_1", "usr_2", False),
        (Grants(workflows=frozenset({"wf_1"})), "wf_1", "usr_2", True),
        (Grants(workflows=frozenset({"wf_1"})), "wf_2", "usr_2", False),
        (Grants(workflows=frozenset({"wf_1"})), "wf_2", "wf_1", False),
        (Grants(principals=frozenset({"usr_1"}), workflows=frozenset({"wf_1"})), "wf_1", "usr_2", True),
        (Grants(principals=frozenset({"usr_1"})), "wf_1", "", False),
    ],
)
def test_grants_say_who_may_and_the_default_is_nobody(grants: Grants, workflow: str, author: str, may: bool) -> None:
    assert grants.allow(workflow_id=workflow, author=author) is may
