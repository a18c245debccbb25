"""list_credentials: the credentials of the project by name, without their values."""

from pydantic import Field

from budflow.model.principal import Principal
from budflow.services.credential_inputs import NAME_CHARS_MAX
from budflow.services.credential_views import CredentialView
from budflow.services.use_case import RequestModel, Services, View, use_case


class ListCredentials(RequestModel):
    """Which credentials."""

    limit: int = Field(50, ge=1, le=200, description="How many at most.")
    cursor: str | None = Field(
        None, pattern=r"^[a-z][a-z0-9._-]{0,63}$", description="`next_cursor` of the page before."
    )
    kind: str | None = Field(None, pattern=r"^[a-z0-9_]{1,64}$", description="Only those of this kind.")
    name: str | None = Field(
        None,
        pattern=r"^[a-z0-9._-]+$",
        max_length=NAME_CHARS_MAX,
        description="Only those whose name contains this.",
    )


class CredentialsView(View):
    """A page of credentials."""

    credentials: list[CredentialView]
    next_cursor: str | None = Field(description="Continues the list; null at its end.")


@use_case("credential:read")
async def list_credentials(services: Services, principal: Principal, request: ListCredentials) -> CredentialsView:
    """List the credentials of the project by name: what they are, never what is in them."""
    page = await services.store.list_credentials(
        principal.project_id, limit=request.limit, cursor=request.cursor, kind=request.kind, name=request.name
    )
    return CredentialsView(
        credentials=[CredentialView.of(record) for record in page.credentials], next_cursor=page.next_cursor
    )
