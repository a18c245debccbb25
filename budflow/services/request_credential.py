"""request_credential: ask a person for a credential by a link, so that its value never passes through who asks."""

import secrets
from datetime import datetime, timedelta

from pydantic import Field

from budflow.errors import BudflowError
from budflow.model.credential import CredentialNameTaken, CredentialRequest, Grants
from budflow.model.identity import new_id, utc_now
from budflow.model.principal import Principal
from budflow.services.credential_inputs import HOSTS_DESCRIPTION, CredentialName, GrantsAsked, Hosts
from budflow.services.credential_links import REQUEST_SECONDS, address_of, hash_of
from budflow.services.credential_record import Entered, check_entered
from budflow.services.use_case import RequestModel, Services, View, use_case

TOKEN_BYTES = 32
REASON_CHARS_MAX = 500


class RequestCredential(RequestModel):
    """Which credential is needed, and why."""

    kind: str = Field(max_length=64, description="Such as `bearer`; `GET /api/v1/credential-kinds` lists them.")
    name: CredentialName = Field(description="By which workflows will refer to it.")
    hosts: Hosts = Field(
        default_factory=list, description=f"{HOSTS_DESCRIPTION} The person may take some of them away."
    )
    reason: str = Field(
        min_length=1,
        max_length=REASON_CHARS_MAX,
        pattern=r"^[^\x00-\x09\x0b-\x1f\x7f]*$",
        description="What for, as the person reads it.",
    )
    grants: GrantsAsked | None = Field(
        None, description="Who may use it; left out: workflow versions that you save. The person sees it."
    )


class CredentialRequestView(View):
    """Where a person enters the credential."""

    id: str
    name: str
    url: str = Field(description="Works once. Give it to a person who has the value; do not open it yourself.")
    expires_at: datetime


class LinksUnavailable(BudflowError):
    """This server is not reached by HTTP: nobody could open a link."""

    code = "credential.links_unavailable"
    http_status = 409
    hint = "Have a person run `budflow credential add`, or start `budflow serve`."


@use_case("credential:request")
async def request_credential(
    services: Services, principal: Principal, request: RequestCredential
) -> CredentialRequestView:
    """Ask a person for a credential: answers with a link that works once, for an hour, to a page for entering it.

    Raises CredentialInvalid, CredentialNameTaken, LinksUnavailable and TooManyRequests.
    """
    own = Grants(principals=frozenset({principal.id}))
    grants = own if request.grants is None else request.grants.to_grants()
    entered = Entered(request.name, request.kind, None, tuple(request.hosts), grants, None)
    await check_entered(services, principal.project_id, entered)
    if await services.store.get_credential(principal.project_id, request.name) is not None:
        raise CredentialNameTaken(f"There is a credential `{request.name}` already.")
    token = secrets.token_urlsafe(TOKEN_BYTES)
    url = address_of(services, token)
    if url is None:
        raise LinksUnavailable
    now = utc_now()
    asked = CredentialRequest(
        id=new_id("crq"),
        project_id=principal.project_id,
        token_hash=hash_of(token),
        kind=request.kind,
        name=request.name,
        hosts=entered.hosts,
        grants=grants,
        reason=request.reason,
        asked_by=principal.id,
        created_at=now,
        expires_at=now + timedelta(seconds=REQUEST_SECONDS),
    )
    await services.store.add_credential_request(asked)
    return CredentialRequestView(id=asked.id, name=asked.name, url=url, expires_at=asked.expires_at)
