"""custom_headers: several headers with secret values, for APIs that ask for more than one."""

import re
from datetime import datetime
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from budflow.credentials.header_secret import HeaderSecret, SettableHeader
from budflow.model.credential_kind import CredentialKind
from budflow.model.http import HttpRequest

#: RFC 9110, 5.6.2.
HEADER_NAME = r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,200}"


def _named_well(headers: Any) -> Any:
    """Looked at first: an error about one of them would quote its name, and somebody may have put a value there."""
    if isinstance(headers, dict):
        if not all(isinstance(name, str) and re.fullmatch(HEADER_NAME, name) for name in headers):
            raise ValueError(
                "A header's name is made of letters, digits and marks such as - and _, without spaces and colon."
            )
        if len({name.lower() for name in headers}) != len(headers):
            raise ValueError("A header may stand only once, in whatever case it is written.")
    return headers


class CustomHeaders(CredentialKind):
    """Headers with secret values, for APIs that ask for more than one, such as an application's id and its key."""

    name: ClassVar[str] = "custom_headers"

    headers: Annotated[dict[SettableHeader, HeaderSecret], BeforeValidator(_named_well)] = Field(
        min_length=1,
        max_length=20,
        description="Values by the header's name; all of them are secret.",
        examples=[{"X-Application-Id": "app-17", "X-Application-Key": "k-4f1b9a6e02d7"}],
    )

    def sign(self, request: HttpRequest, now: datetime) -> HttpRequest:
        """With these headers, instead of those of the same names."""
        for name, value in self.headers.items():
            request = request.with_header(name, value.reveal())
        return request
