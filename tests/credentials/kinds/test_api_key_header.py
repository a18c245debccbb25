"""api_key_header: a key in a header that the API names."""

import pytest
from pydantic import ValidationError

from budflow.credentials.kinds.api_key_header import ApiKeyHeader
from tests.credentials.kinds.requests import NOW, header, request


def test_the_key_is_sent_in_the_usual_header() -> None:
    signed = ApiKeyHeader.model_validate({"key": "k-1"}).sign(request(), NOW)

    assert signed.headers == (("X-API-Key", "k-1"),)


def test_header_and_prefix_are_the_apis_own() -> None:
    kind = ApiKeyHeader.model_validate({"key": "k 1", "header": "Authorization", "prefix": "Token token="})

    assert header(kind.sign(request(), NOW), "Authorization") == "Token token=k 1"


def test_it_replaces_a_header_of_that_name_in_any_case_and_leaves_the_others() -> None:
    asked = request(headers=[("x-api-key", "old"), ("Accept", "a"), ("X-Api-Key", "older"), ("Accept", "b")])

    signed = ApiKeyHeader.model_validate({"key": "new"}).sign(asked, NOW)

    assert signed.headers == (("Accept", "a"), ("Accept", "b"), ("X-API-Key", "new"))


@pytest.mark.parametrize(
    "key", ["", " canary", "canary ", "canary\r\nX-Evil: 1", "canary\x00", "canary\x7f", "canary\n"]
)
def test_a_key_that_would_not_stay_one_value_is_refused(key: str) -> None:
    with pytest.raises(ValidationError) as refused:
        ApiKeyHeader.model_validate({"key": key})

    assert "canary" not in str(refused.value)


@pytest.mark.parametrize(
    "name", ["", "X Key", "X:Key", "X-Key\n", "Content-Length", "transfer-encoding", "Ключ", "a" * 201]
)
def test_a_header_that_cannot_be_set_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        ApiKeyHeader.model_validate({"key": "k-1", "header": name})


def test_a_prefix_with_a_line_break_is_refused() -> None:
    with pytest.raises(ValidationError):
        ApiKeyHeader.model_validate({"key": "k-1", "prefix": "Token\r\n"})
