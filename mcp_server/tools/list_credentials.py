"""list_credentials: which credentials a document can name, and which kinds can be asked for."""

from pydantic import Field

from budflow.model.principal import Principal
from budflow.services.list_credentials import ListCredentials, list_credentials as every_credential
from budflow.services.use_case import RequestModel, Services, View
from mcp_server.tool import Tool


class ListCredentialNames(RequestModel):
    """Which page of the list."""

    cursor: str | None = Field(
        None, pattern=r"^[a-z][a-z0-9._-]{0,63}$", description="`next_cursor` of the page before."
    )


class CredentialNameView(View):
    """A credential as a document names it."""

    name: str
    kind: str
    id: str
    hosts: list[str]


class CredentialNamesView(View):
    """A page of credentials, and every kind there is."""

    credentials: list[CredentialNameView]
    next_cursor: str | None
    kinds: list[str]


async def list_credentials(
    services: Services, principal: Principal, request: ListCredentialNames
) -> CredentialNamesView:
    """List credentials by name: what an agent may know of them."""
    page = await every_credential(services, principal, ListCredentials(cursor=request.cursor))
    return CredentialNamesView(
        credentials=[
            CredentialNameView(name=one.name, kind=one.kind, id=one.id, hosts=one.hosts) for one in page.credentials
        ],
        next_cursor=page.next_cursor,
        kinds=sorted(services.credential_kinds),
    )


TOOL = Tool.of(
    every_credential,
    title="List credentials",
    description=(
        "List the credentials that nodes can use, never their values: name, kind, and to which hosts each may be sent. "
        'A node names one by `"credentials": {"auth": "NAME"}`.'
    ),
    call=list_credentials,
    read_only=True,
)
