"""Kinds and opened credentials: what they show, and where they go."""

import copy
import pickle
from collections.abc import Iterator
from typing import Annotated, ClassVar

import pytest
from pydantic import BaseModel, Field

from budflow.model.credential import HostRefused
from budflow.model.credential_kind import CredentialKind, KindCannotSign, OpenCredential
from budflow.model.secret import Secret, SecretText, SecretUnserializable
from tests.credentials.kinds.requests import NOW, request


class Inner(BaseModel):
    pin: Annotated[Secret, SecretText()]


class Nested(CredentialKind):
    """Secrets at several depths."""

    name: ClassVar[str] = "nested"

    user: str = Field(description="User.")
    token: Annotated[Secret, SecretText()] = Field(description="Token.")
    headers: dict[str, Annotated[Secret, SecretText()]] = Field(description="Headers.")
    many: list[Inner] = Field(description="More.")


VALUES = Nested.model_validate(
    {"user": "u", "token": "canary-1", "headers": {"a": "canary-2"}, "many": [{"pin": "canary-3"}, {"pin": "canary-4"}]}
)
OPENED = OpenCredential("crd_1", "crm", "nested", VALUES, ("api.example.com",))


def test_every_secret_in_it_is_found() -> None:
    assert sorted(VALUES.secrets()) == ["canary-1", "canary-2", "canary-3", "canary-4"]


@pytest.mark.parametrize(
    "shown", [repr(VALUES), str(VALUES), repr(OPENED), str(OPENED), f"{OPENED}", str(OPENED.fields())]
)
def test_neither_shows_a_secret(shown: str) -> None:
    assert "canary" not in shown


@pytest.mark.parametrize("what", [VALUES, OPENED, OPENED.fields(), OPENED.redaction])
def test_neither_can_be_pickled(what: object) -> None:
    with pytest.raises(SecretUnserializable):
        pickle.dumps(what)


def test_a_copy_of_the_values_is_equal() -> None:
    assert copy.deepcopy(VALUES) == VALUES


def test_a_kind_that_does_not_sign_says_so() -> None:
    assert not Nested.signs()
    assert Nested.model_fields  # Building it is left for later, its declaration is not.
    with pytest.raises(KindCannotSign):
        VALUES.sign(request(), NOW)


def test_expressions_get_the_fields_with_the_secret_ones_opaque() -> None:
    fields = OPENED.fields()

    assert fields["user"] == "u"
    assert fields["token"] == Secret("canary-1")


class KeyAsUser(CredentialKind):
    """A text that may be secret, such as a user without a password."""

    name: ClassVar[str] = "key_as_user"

    user: str = Field(description="User.")

    def secrets(self) -> Iterator[str]:
        """The user."""
        yield self.user


def test_a_text_that_is_to_be_masked_is_opaque_too() -> None:
    opened = OpenCredential("crd_1", "crm", "key_as_user", KeyAsUser(user="canary-5"), ("api.example.com",))

    assert opened.fields() == {"user": Secret("canary-5")}


class Proving(Nested):
    """Proves the secret and never sends it."""

    name: ClassVar[str] = "proving"
    sends_secrets: ClassVar[bool] = False


def test_a_secret_that_is_never_sent_is_given_to_no_expression() -> None:
    values = Proving.model_validate({"user": "u", "token": "canary-1", "headers": {"a": "canary-2"}, "many": []})

    opened = OpenCredential("crd_1", "crm", "proving", values, ("api.example.com",))

    assert opened.fields() == {"user": "u", "many": []}


def test_it_goes_where_it_may() -> None:
    OPENED.require_host("https://api.example.com/orders")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://evil.com/canary?canary=1", "https://evil.com."),
        ("https://canary:canary@evil.com:8443#canary", "https://evil.com:8443."),
        (r"https://evil.com\canary", "https://evil.com."),
        ("canary", "this address."),
        ("canary canary://x", "this address."),
        ("https://evil.com\n\x1b[31mcanary", "this address."),
    ],
)
def test_elsewhere_it_is_refused_in_words_without_what_may_be_secret(url: str, shown: str) -> None:
    with pytest.raises(HostRefused) as refused:
        OPENED.require_host(url)

    assert refused.value.message == f"The credential `crm` may not be sent to {shown}"
    assert "canary" not in str(refused.value.details)


def test_what_comes_back_is_masked() -> None:
    assert OPENED.redaction.data({"echo": "Bearer canary-1"}) == {"echo": "Bearer ***"}
