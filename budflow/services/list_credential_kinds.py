"""list_credential_kinds: what kinds of credentials there are, and what each asks for."""

from typing import Any

from pydantic import Field

from budflow.model.credential_kind import CredentialKind
from budflow.model.principal import Principal
from budflow.services.use_case import RequestModel, Services, View, use_case


class ListCredentialKinds(RequestModel):
    """All of them."""


class CredentialKindView(View):
    """A kind of credential."""

    name: str
    summary: str
    signs: bool = Field(description="Whether it can sign HTTP requests, so that `http.request` takes it.")
    values: dict[str, Any] = Field(description="JSON Schema of its values; `x-secret` marks what is masked.")

    @staticmethod
    def of(kind: type[CredentialKind]) -> "CredentialKindView":
        """From its declaration."""
        schema = kind.model_json_schema()
        return CredentialKindView(
            name=kind.name,
            summary=" ".join((kind.__doc__ or kind.name).strip().partition("\n\n")[0].split()),
            signs=kind.signs(),
            values={key: part for key, part in schema.items() if key not in ("title", "description")},
        )


class CredentialKindsView(View):
    """Every kind, by name."""

    kinds: list[CredentialKindView]


@use_case("credential:read")
async def list_credential_kinds(
    services: Services, principal: Principal, request: ListCredentialKinds
) -> CredentialKindsView:
    """List the kinds of credentials, each with the JSON Schema of its values."""
    kinds = services.credential_kinds
    return CredentialKindsView(kinds=[CredentialKindView.of(kinds[name]) for name in sorted(kinds)])
