"""api_key_query: a key in the query of the address."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated, ClassVar
from urllib.parse import quote, unquote_plus, urlsplit

from pydantic import Field

from budflow.model.credential_kind import CredentialKind
from budflow.model.http import HttpRequest
from budflow.model.secret import Secret, SecretText


class ApiKeyQuery(CredentialKind):
    """An API key that is sent in the query of the address. Prefer a header where the API takes one: queries end up in
    the logs of servers.
    """

    name: ClassVar[str] = "api_key_query"

    key: Annotated[
        Secret,
        SecretText(
            max_length=4_096, pattern=r"^[^\x00-\x1f\x7f]+$", meaning="It must be one line without control characters."
        ),
    ] = Field(description="The key. It is encoded for you.", examples=["k-4f1b9a6e02d7"])
    parameter: str = Field(
        default="api_key",
        min_length=1,
        max_length=200,
        pattern=r"^[^\x00-\x1f\x7f]+$",
        description="Parameter of the query in which it is sent.",
        examples=["api_key", "key", "access_token"],
    )

    def sign(self, request: HttpRequest, now: datetime) -> HttpRequest:
        """With the parameter at the end of the query, instead of all of its name; the others stay as written."""
        parts = urlsplit(request.url)
        pairs = [pair for pair in parts.query.split("&") if pair and self._is_another(pair)]
        pairs.append(f"{quote(self.parameter, safe='')}={quote(self.key.reveal(), safe='')}")
        return replace(request, url=parts._replace(query="&".join(pairs)).geturl())

    def _is_another(self, pair: str) -> bool:
        return unquote_plus(pair.partition("=")[0]) != self.parameter
