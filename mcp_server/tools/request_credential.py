"""request_credential: have a person enter a secret on a page of their own, so that no model ever sees it."""

from datetime import datetime

from pydantic import Field

from budflow.model.principal import Principal
from budflow.services.credential_inputs import CredentialName, Hosts
from budflow.services.request_credential import (
    REASON_CHARS_MAX,
    RequestCredential,
    request_credential as ask_by_link,
)
from budflow.services.use_case import RequestModel, Services, View
from mcp_server.tool import Tool


class AskForCredential(RequestModel):
    """Which credential is needed, where it is sent and why."""

    kind: str = Field(max_length=64, description="One of `kinds` of list_credentials, such as `bearer`.")
    name: CredentialName = Field(description="A new name, by which nodes will use it.")
    hosts: Hosts = Field(
        default_factory=list,
        description="Only those that need it: `api.example.com`, `*.example.com`, `http://crm:80`.",
    )
    reason: str = Field(min_length=1, max_length=REASON_CHARS_MAX, description="What for; the person reads it.")


class LinkView(View):
    """Where a person enters the credential, and what the agent does meanwhile."""

    name: str
    url: str
    expires_at: datetime
    next: str


async def request_credential(services: Services, principal: Principal, request: AskForCredential) -> LinkView:
    """Ask a person for a credential."""
    asked = RequestCredential.model_validate(request.model_dump())
    made = await ask_by_link(services, principal, asked)
    told = (
        f"Show `url` to your user and ask them to enter the value there. Never ask for the value itself, and do not "
        f"open the link. When they say it is done, list_credentials shows `{made.name}`."
    )
    return LinkView(name=made.name, url=made.url, expires_at=made.expires_at, next=told)


TOOL = Tool.of(
    ask_by_link,
    title="Request a credential",
    description=(
        "Get a secret that nodes need, such as an API token: answers with a link to a page where your user enters it. "
        "Show them the link; never ask for the value in the chat. Then check with list_credentials. Workflow versions "
        "that you save may use it."
    ),
    call=request_credential,
    whole=True,
)
