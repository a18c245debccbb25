"""How credentials are shown: what they are, never what is in them."""

from collections.abc import Iterable
from datetime import datetime

from pydantic import Field

from budflow.model.credential import CredentialRecord, Grants
from budflow.services.use_case import View


class GrantsView(View):
    """Who may use a credential: workflows of the same project for which one of these holds."""

    project: bool = Field(description="Every workflow may.")
    principals: list[str] = Field(description="Workflow versions that these saved may.")
    workflows: list[str] = Field(description="These workflows may, whoever saved them.")

    @staticmethod
    def of(grants: Grants) -> "GrantsView":
        """From the stored row."""
        return GrantsView(
            project=grants.project, principals=sorted(grants.principals), workflows=sorted(grants.workflows)
        )


class ProbeView(View):
    """The request that shows whether a credential works."""

    method: str
    url: str = Field(description="Without its query.")


class CredentialView(View):
    """A credential without its values, which are written and never read."""

    id: str
    name: str
    kind: str
    revision: int = Field(description="Counts the changes of values and hosts.")
    hosts: list[str] = Field(description="Where it may be sent; over HTTPS unless `http://` is written.")
    grants: GrantsView
    probe: ProbeView | None = Field(description="The request that shows whether it works, where one was named.")
    fields: list[str] | None = Field(
        description="The names of the values that are set; null in lists, and where they cannot be decrypted."
    )
    created_at: datetime
    updated_at: datetime
    created_by: str

    @staticmethod
    def of(record: CredentialRecord, fields: Iterable[str] | None = None) -> "CredentialView":
        """From the stored row, and the names of what is sealed where they are known."""
        probe = record.probe
        return CredentialView(
            id=record.id,
            name=record.name,
            kind=record.kind,
            revision=record.revision,
            hosts=list(record.hosts),
            grants=GrantsView.of(record.grants),
            probe=None if probe is None else ProbeView(method=probe["method"], url=probe["url"].partition("?")[0]),
            fields=None if fields is None else sorted(fields),
            created_at=record.created_at,
            updated_at=record.updated_at,
            created_by=record.created_by,
        )
