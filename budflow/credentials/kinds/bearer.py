"""bearer: a token in the header Authorization (RFC 6750)."""

from datetime import datetime
from typing import Annotated, ClassVar

from pydantic import Field

from budflow.model.credential_kind import CredentialKind
from budflow.model.http import HttpRequest
from budflow.model.secret import Secret, SecretText


class Bearer(CredentialKind):
    """A bearer token: whoever has it is let in. Many APIs call it an access token or a personal access token."""

    name: ClassVar[str] = "bearer"

    token: Annotated[
        Secret,
        SecretText(
            max_length=8_192,
            pattern=r"^[A-Za-z0-9._~+/-]+=*$",
            meaning="It must be the token alone: letters, digits and - . _ ~ + /, without `Bearer` and without spaces.",
        ),
    ] = Field(
        description="The token alone, without the word `Bearer`.",
        examples=["eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJjcm0ifQ.c2ln"],
    )

    def sign(self, request: HttpRequest, now: datetime) -> HttpRequest:
        """RFC 6750, 2.1."""
        return request.with_header("Authorization", f"Bearer {self.token.reveal()}")
