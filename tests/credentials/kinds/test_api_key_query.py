"""api_key_query: a key in the query of the address."""

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given, strategies as st
from pydantic import ValidationError

from budflow.credentials.kinds.api_key_query import ApiKeyQuery
from budflow.model.redaction import Redaction
from tests.credentials.kinds.requests import NOW, request

visible = st.text(st.characters(min_codepoint=0x20, exclude_characters="\x7f", exclude_categories=["Cs"]), min_size=1)


@pytest.mark.parametrize(
    ("url", "signed"),
    [
        ("https://a.example", "https://a.example?api_key=k-1"),
        ("https://a.example/x?b=1", "https://a.example/x?b=1&api_key=k-1"),
        ("https://a.example/x?api_key=old&b=%20+&api%5fkey=older&c", "https://a.example/x?b=%20+&c&api_key=k-1"),
        ("https://a.example/x?API_KEY=other", "https://a.example/x?API_KEY=other&api_key=k-1"),
        ("https://a.example/x?b=1#there", "https://a.example/x?b=1&api_key=k-1#there"),
    ],
)
def test_the_key_stands_at_the_end_of_the_query(url: str, signed: str) -> None:
    assert ApiKeyQuery.model_validate({"key": "k-1"}).sign(request(url), NOW).url == signed


@given(key=visible, parameter=visible)
def test_any_key_arrives_as_it_is_under_any_name(key: str, parameter: str) -> None:
    kind = ApiKeyQuery.model_validate({"key": key, "parameter": parameter[:200]})

    query = urlsplit(kind.sign(request("https://a.example/?x=1"), NOW).url).query

    assert parse_qsl(query)[-1] == (parameter[:200], key)


def test_the_signed_address_is_masked() -> None:
    kind = ApiKeyQuery.model_validate({"key": "k/1 ü?&canary"})

    assert Redaction(kind.secrets()).text(kind.sign(request("https://a.example/"), NOW).url) == (
        "https://a.example/?api_key=***"
    )


@pytest.mark.parametrize("field", ["key", "parameter"])
@pytest.mark.parametrize("text", ["", "a\nb", "a\x00", "\x7f"])
def test_control_characters_are_refused(field: str, text: str) -> None:
    with pytest.raises(ValidationError):
        ApiKeyQuery.model_validate({"key": "k-1", field: text})
