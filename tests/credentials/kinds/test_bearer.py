"""bearer: a token in the header Authorization."""

import pytest
from pydantic import ValidationError

from budflow.credentials.kinds.bearer import Bearer
from tests.credentials.kinds.requests import NOW, header, request


def test_the_token_is_sent_as_the_rfc_shows() -> None:
    signed = Bearer.model_validate({"token": "mF_9.B5f-4.1JqM"}).sign(request(), NOW)

    assert header(signed, "authorization") == "Bearer mF_9.B5f-4.1JqM"  # RFC 6750, 2.1.


def test_it_replaces_what_the_request_has() -> None:
    signed = Bearer.model_validate({"token": "new"}).sign(request(headers=[("AUTHORIZATION", "Bearer old")]), NOW)

    assert signed.headers == (("Authorization", "Bearer new"),)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "Bearer abc-canary",
        "abc-canary\r\nX-Evil: 1",
        "abc-canary\n",
        " abc-canary",
        "abc-canäry",
        "a=canary",
        7,
        None,
    ],
)
def test_what_is_no_token_is_refused_without_being_repeated(token: object) -> None:
    with pytest.raises(ValidationError) as refused:
        Bearer.model_validate({"token": token})

    assert "canary" not in str(refused.value)
    assert "canary" not in str(refused.value.errors(include_input=False))


def test_an_unknown_field_is_refused_without_its_value() -> None:
    with pytest.raises(ValidationError) as refused:
        Bearer.model_validate({"token": "abc", "tokn": "canary"})

    assert "canary" not in str(refused.value)
