"""read_credential_request: what the holder of a link is asked to enter; looking changes nothing."""

from datetime import datetime

from pydantic import Field

from budflow.model.principal import Principal
from budflow.services.credential_links import Token, find_request
from budflow.services.credential_record import kind_named
from budflow.services.credential_views import GrantsView
from budflow.services.list_credential_kinds import CredentialKindView
from budflow.services.use_case import RequestModel, Services, View, use_case


class ReadCredentialRequest(RequestModel):
    """The token of a link."""

    token: Token = Field(repr=False)


class AskedCredentialView(View):
    """What is asked of who has the link."""

    name: str
    kind: CredentialKindView
    hosts: list[str] = Field(description="Where it may be sent; some may be taken away.")
    grants: GrantsView = Field(description="Who may use it.")
    reason: str = Field(description="What it is needed for, in the words of who asks.")
    asked_by: str
    expires_at: datetime


@use_case("credential:request")
async def read_credential_request(
    services: Services, principal: Principal, request: ReadCredentialRequest
) -> AskedCredentialView:
    """Show what the holder of a link is asked to enter. Raises RequestUsed, also where there is no such link."""
    asked = await find_request(services, request.token)
    return AskedCredentialView(
        name=asked.name,
        kind=CredentialKindView.of(kind_named(services, asked.kind)),
        hosts=list(asked.hosts),
        grants=GrantsView.of(asked.grants),
        reason=asked.reason,
        asked_by=asked.asked_by,
        expires_at=asked.expires_at,
    )
