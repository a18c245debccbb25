"""Whether a text is what it may be."""

import pytest

from tests.expressions.conftest import Evaluate


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        (
            (
                "[x.is_email() for x in ['a.b+c@d-e.org', 'a@b', '@b.org', 'a@b..org', 'a b@c.org', '.a@b.org', "
                "'x@münchen.de', '']]"
            ),
            [True, False, False, False, False, False, True, False],
        ),
        (
            (
                "[x.is_url() for x in ['http://localhost:80/', 'https://1.2.3.4', 'ftp://a.org/x', 'http://', "
                "'http://a b', 'javascript:alert(1)', 'http://[::1]/', 'http://a.org:x']]"
            ),
            [True, True, True, False, False, False, True, False],
        ),
        (
            "[x.is_domain() for x in ['a.b.org', 'org', 'a..org', '-a.org', 'a.1', 'a_b.org', ('a' * 64) + '.org']]",
            [True, False, False, False, False, False, False],
        ),
        ("[x.is_ip() for x in ['::', '1.2.3.256', '01.2.3.4', 'fe80::1%eth0', '']]", [True, False, False, True, False]),
        ("'::1'.is_ipv6(), '::1'.is_ipv4(), '1.1.1.1'.is_ipv4()", [True, False, True]),
        (
            "[x.is_numeric() for x in ['1', ' -1.5 ', '.5', '5.', '1e5', '1,000', 'nan', 'inf', '', '٣']]",
            [True, True, True, True, True, False, False, False, False, False],
        ),
        ("[x.is_integer() for x in ['-1', '+1', '1.0', '', '--1', '²']]", [True, True, False, False, False, False]),
        (
            "[x.is_date() for x in ['2026-01-31', '31.01.2026', 'Jan 31', '2026-13-01', '1769864709', '']]",
            [True, True, False, False, False, False],
        ),
        ("[x.is_json() for x in ['1', '{}', '{', 'NaN ', '']]", [True, True, False, True, False]),
        (
            "'00fF'.is_hex(), '0'.is_hex(), ''.is_hex(), '#FFF'.is_color(), '#FF'.is_color()",
            [True, False, False, True, False],
        ),
        ("'+1 (555) 123-4567'.is_phone(), '555-1234'.is_phone()", [True, False]),
        (
            "'DE89370400440532013000'.is_iban(), 'DE88370400440532013000'.is_iban(), 'a-b'.is_slug(), 'a--b'.is_slug()",
            [True, False, True, False],
        ),
    ],
)
def test_what_they_give(expression: str, value: object, evaluate: Evaluate) -> None:
    assert evaluate(expression) == value
