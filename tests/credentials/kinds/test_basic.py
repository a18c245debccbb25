"""basic: a user and a password in the header Authorization."""

import base64

import pytest
from pydantic import ValidationError

from budflow.credentials.kinds.basic import Basic
from budflow.model.redaction import Redaction
from tests.credentials.kinds.requests import NOW, header, request


@pytest.mark.parametrize(
    ("user", "password", "value"),
    [
        ("Aladdin", "open sesame", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),  # RFC 7617, 2.
        ("test", "123£", "Basic dGVzdDoxMjPCow=="),  # RFC 7617, 2.1.
        ("sk-key-as-user", "", f"Basic {base64.b64encode(b'sk-key-as-user:').decode()}"),
        ("", "only", "Basic Om9ubHk="),
        ("a", "b:c:d", f"Basic {base64.b64encode(b'a:b:c:d').decode()}"),
    ],
)
def test_it_is_sent_as_the_rfc_shows(user: str, password: str, value: str) -> None:
    signed = Basic.model_validate({"user": user, "password": password}).sign(request(), NOW)

    assert header(signed, "Authorization") == value


def test_it_replaces_what_the_request_has() -> None:
    asked = request(headers=[("authorization", "Bearer old")])

    assert len(Basic.model_validate({"user": "a", "password": "b"}).sign(asked, NOW).headers) == 1


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"user": "", "password": ""},
        {"user": "a:canary", "password": "b"},
        {"user": "a\ncanary", "password": "b"},
        {"user": "a", "password": "canary\r\n"},
        {"user": "a", "password": "canary\x00"},
    ],
)
def test_what_rfc_7617_forbids_is_refused(values: dict[str, str]) -> None:
    with pytest.raises(ValidationError) as refused:
        Basic.model_validate(values)

    assert "canary" not in str(refused.value)


@pytest.mark.parametrize("values", [{"user": "crm-sync", "password": "canary-1"}, {"user": "canary-1"}])
def test_the_password_is_masked_by_itself_and_as_it_is_sent(values: dict[str, str]) -> None:
    kind = Basic.model_validate(values)
    sent = header(kind.sign(request(), NOW), "Authorization")

    assert Redaction(kind.secrets()).text(f"canary-1 {sent}") == "*** Basic ***"


def test_a_short_password_is_masked_as_it_is_sent() -> None:
    kind = Basic.model_validate({"user": "admin", "password": "abc"})

    assert Redaction(kind.secrets()).text(header(kind.sign(request(), NOW), "Authorization")) == "Basic ***"
