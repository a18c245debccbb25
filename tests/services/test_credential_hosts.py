"""Whether patterns of hosts let a credential go further than others do."""

from itertools import product

import pytest

from budflow.model.credential import allows
from budflow.services.credential_hosts import widens


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
