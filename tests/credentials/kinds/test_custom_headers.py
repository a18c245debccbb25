"""custom_headers: several headers with secret values."""

import pytest
from pydantic import ValidationError

from budflow.credentials.kinds.custom_headers import CustomHeaders
from tests.credentials.kinds.requests import NOW, request


def test_all_of_them_are_sent_instead_of_those_of_their_names() -> None:
    kind = CustomHeaders.model_validate({"headers": {"X-App": "app-17", "X-Key": "k-1"}})

    signed = kind.sign(request(headers=[("x-key", "old"), ("Accept", "*/*")]), NOW)

    assert signed.headers == (("Accept", "*/*"), ("X-App", "app-17"), ("X-Key", "k-1"))


def test_every_value_is_secret() -> None:
    kind = CustomHeaders.model_validate({"headers": {"X-App": "app-17", "X-Key": "k-1"}})

    assert sorted(kind.secrets()) == ["app-17", "k-1"]
    assert "app-17" not in repr(kind)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {f"X-{number}": "1" for number in range(21)},
        {"X-Key": "1", "x-key": "2"},
        {"Content-Length": "1"},
        {"Transfer-Encoding": "chunked"},
        {"Host": "canary.example"},
        {"X-Key": "canary\r\nX-Evil: 1"},
        {"X-Key": ""},
        {"X-Key": 5},
        {"X-Key: canary": "1"},
        {"Bearer canary": "1"},
        {"X-Key\n": "1"},
        [["X-Key", "canary"]],
    ],
)
def test_what_would_break_the_message_is_refused_without_being_repeated(headers: object) -> None:
    with pytest.raises(ValidationError) as refused:
        CustomHeaders.model_validate({"headers": headers})

    assert "canary" not in str(refused.value)
