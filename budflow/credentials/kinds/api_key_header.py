"""api_key_header: a key in a header that the API names."""

from datetime import datetime
from typing import ClassVar

from pydantic import Field

from budflow.credentials.header_secret import HeaderSecret, SettableHeader
from budflow.model.credential_kind import CredentialKind
from budflow.model.http import HttpRequest


class ApiKeyHeader(CredentialKind):
    """An API key that is sent in a header, such as `X-API-Key: …` or `Authorization: Token …`."""

    name: ClassVar[str] = "api_key_header"

    key: HeaderSecret = Field(description="The key.", examples=["k-4f1b9a6e02d7"])
    header: SettableHeader = Field(
        default="X-API-Key", description="Header in which it is sent.", examples=["X-API-Key", "Authorization"]
    )
    prefix: str = Field(
        default="",
        max_length=100,
        pattern=r"^[^\x00-\x1f\x7f]*$",
        description="Text before the key in the header, with the space after it where there is one.",
        examples=["Token ", "ApiKey "],
    )

    def sign(self, request: HttpRequest, now: datetime) -> HttpRequest:
        """With the header, instead of one that the request has already."""
        return request.with_header(self.header, self.prefix + self.key.reveal())
