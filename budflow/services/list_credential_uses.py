"""list_credential_uses: the audit of a credential, newest first."""

import re
from datetime import datetime

from pydantic import Field

from budflow.graph.validate_credentials import ID_PATTERN
from budflow.model.credential import TESTED, CredentialNotFound, CredentialUse
from budflow.model.principal import Principal
from budflow.services.credential_inputs import Reference
from budflow.services.credential_ports import USES_CURSOR_PATTERN
from budflow.services.credential_record import find_credential
from budflow.services.use_case import RequestModel, Services, View, use_case


class ListCredentialUses(RequestModel):
    """Of which credential."""

    credential: Reference
    limit: int = Field(50, ge=1, le=200, description="How many at most.")
    cursor: str | None = Field(None, pattern=USES_CURSOR_PATTERN, description="`next_cursor` of the page before.")


class CredentialUseView(View):
    """A node of an execution was given the credential, or somebody tried it by hand."""

    used_at: datetime
    workflow_id: str | None = Field(description="Null, like the next three, where it was tried by hand.")
    version: int | None
    execution_id: str | None
    node: str | None = Field(description="The node's path.")
    slot: str = Field(description=f"In which role; `{TESTED}` where it was tried by hand.")
    author: str = Field(description="Who saved that version of the workflow, or tried it.")
    principal: str = Field(description="Who or what started the execution, or tried it.")

    @staticmethod
    def of(use: CredentialUse) -> "CredentialUseView":
        """From the stored row."""
        return CredentialUseView(
            used_at=use.used_at,
            workflow_id=use.workflow_id or None,
            version=use.version or None,
            execution_id=use.execution_id or None,
            node=use.node or None,
            slot=use.slot,
            author=use.author,
            principal=use.principal,
        )


class CredentialUsesView(View):
    """A page of an audit."""

    uses: list[CredentialUseView]
    next_cursor: str | None = Field(description="Continues the list; null at its end.")


@use_case("credential:read")
async def list_credential_uses(
    services: Services, principal: Principal, request: ListCredentialUses
) -> CredentialUsesView:
    """List who used a credential, in which workflow, node and execution, and when; the latest first.

    By its id that of a deleted one, too.
    """
    project = principal.project_id
    credential_id, deleted = request.credential, None
    try:
        credential_id = (await find_credential(services, project, request.credential)).id
    except CredentialNotFound as error:
        if re.fullmatch(ID_PATTERN, request.credential) is None:
            raise
        deleted = error
    page = await services.store.list_credential_uses(project, credential_id, limit=request.limit, cursor=request.cursor)
    if deleted is not None and not page.uses:
        raise deleted
    return CredentialUsesView(uses=[CredentialUseView.of(use) for use in page.uses], next_cursor=page.next_cursor)
