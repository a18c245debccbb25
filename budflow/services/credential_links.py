"""Links by which a person enters a credential: a random token, of which only the SHA-256 is stored, used once."""

import hashlib
from typing import Annotated

from pydantic import Field

from budflow.model.credential import CredentialRequest
from budflow.model.identity import utc_now
from budflow.services.credential_ports import RequestUsed
from budflow.services.use_case import Services

PREFIX = "/credential-request/"
REQUEST_SECONDS = 3600.0
Token = Annotated[str, Field(max_length=200)]


def address_of(services: Services, token: str) -> str | None:
    """The link with this token; None where this server is not reached by HTTP."""
    public_url = services.links.public_url
    return None if public_url is None else f"{public_url}{PREFIX}{token}"


def hash_of(token: str) -> str:
    """What is stored of a token. It is random and long: nothing is gained by a slower hash."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()


async def find_request(services: Services, token: str) -> CredentialRequest:
    """The request with this token that can still be answered. Raises RequestUsed, also where there never was one."""
    found = await services.store.get_credential_request(hash_of(token))
    if found is None or found.credential_id is not None or found.expires_at <= utc_now():
        raise RequestUsed
    return found
