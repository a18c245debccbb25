"""basic: a user and a password in the header Authorization (RFC 7617)."""

import base64
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, ClassVar, Self

from pydantic import ConfigDict, Field, model_validator

from budflow.model.credential_kind import CredentialKind
from budflow.model.http import HttpRequest
from budflow.model.secret import Secret, SecretText


class Basic(CredentialKind):
    """A user and a password for HTTP's Basic authentication. Some APIs take a key as the user, without a password."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"user": "crm-sync", "password": "correct horse battery staple"}]}
    )
    name: ClassVar[str] = "basic"

    user: str = Field(
        default="",
        max_length=1_024,
        pattern=r"^[^\x00-\x1f\x7f:]*$",
        description="User, without a colon. It is no secret, unless there is no password.",
        examples=["crm-sync"],
    )
    password: Annotated[
        Secret,
        SecretText(
            min_length=0,
            max_length=4_096,
            pattern=r"^[^\x00-\x1f\x7f]*$",
            meaning="It must not hold control characters.",
        ),
    ] = Field(
        default_factory=lambda: Secret(""),
        description="Password; may be empty.",
        examples=["correct horse battery staple"],
        json_schema_extra={"default": ""},
    )

    @model_validator(mode="after")
    def _proves_something(self) -> Self:
        if not self.user and not self.password.reveal():
            raise ValueError("Give a user, a password or both.")
        return self

    def sign(self, request: HttpRequest, now: datetime) -> HttpRequest:
        """RFC 7617, 2, with the text in UTF-8."""
        return request.with_header("Authorization", f"Basic {self._encoded()}")

    def secrets(self) -> Iterator[str]:
        """The password, or the user that stands for it; and both as they are sent."""
        yield self.password.reveal() or self.user
        yield self._encoded()

    def _encoded(self) -> str:
        return base64.b64encode(f"{self.user}:{self.password.reveal()}".encode()).decode()
