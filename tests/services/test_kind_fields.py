"""What is asked for follows from a kind's JSON Schema alone."""

from typing import Annotated, ClassVar, Literal

import pytest
from pydantic import Field

from budflow.model.credential_kind import CredentialKind
from budflow.model.secret import Secret, SecretText
from budflow.services.kind_fields import fields_of, number_of

Token = Annotated[Secret, SecretText()]
PEM = "-----BEGIN KEY-----\n<b>\n-----END KEY-----\n"


class Everything(CredentialKind):
    """Something of each."""

    name: ClassVar[str] = "everything"

    user: str = Field(description="Who <you> are.")
    token: Token = Field(description="The token.")
    key: Token = Field(description="The key.", examples=[PEM])
    phrase: Token | None = Field(None, description="Opens the key.")
    algorithm: Literal["sha256", "sha512"] = Field("sha512", description="How.")
    region: Literal["eu", "us"] | None = Field(None, description="Where.")
    port: int = Field(443, description="Which port.")
    raw: bool = Field(False, description="As it is.")
    headers: dict[str, Token] = Field(default_factory=dict, description="More headers.")
    scopes: list[str] = Field(default_factory=list, description="What for.")


def test_each_field_is_asked_for_as_what_it_is() -> None:
    fields = fields_of(Everything.model_json_schema())

    assert {field.name: field.shape for field in fields} == {
        "user": "text",
        "token": "secret",
        "key": "lines",
        "phrase": "secret",
        "algorithm": "choice",
        "region": "choice",
        "port": "number",
        "raw": "boolean",
        "headers": "pairs",
        "scopes": "list",
    }
    assert [field.name for field in fields if field.required] == ["user", "token", "key"]
    assert [field.name for field in fields if field.secret] == ["token", "key", "phrase", "headers"]


def test_a_default_is_told_and_that_of_a_secret_never() -> None:
    schema = {"properties": {"a": {"type": "string", "default": "x"}, "b": {"default": "y", "x-secret": True}}}

    assert [field.default for field in fields_of(schema)] == ["x", ""]


@pytest.mark.parametrize(
    ("text", "number"), [("8443", 8443), ("1.5", 1.5), ("nan", "nan"), ("1e999", "1e999"), ("x", "x")]
)
def test_a_number_that_is_none_stays_a_text(text: str, number: object) -> None:
    assert number_of(text) == number
