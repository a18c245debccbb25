"""delete_credential: remove a credential for good."""

from budflow.log import get_log
from budflow.model.credential import CredentialNotFound
from budflow.model.principal import Principal
from budflow.services.credential_inputs import Reference
from budflow.services.credential_record import find_credential
from budflow.services.use_case import RequestModel, Services, View, use_case

log = get_log(__name__)


class DeleteCredential(RequestModel):
    """Which credential."""

    credential: Reference


class CredentialDeletedView(View):
    """What was removed: its id."""

    deleted: str


@use_case("credential:write")
async def delete_credential(
    services: Services, principal: Principal, request: DeleteCredential
) -> CredentialDeletedView:
    """Delete a credential with its values. Nodes that need it fail from then on; who used it stays on record."""
    record = await find_credential(services, principal.project_id, request.credential)
    deleted = await services.store.delete_credential(principal.project_id, record.id)
    services.credentials.forget(record.id)
    if not deleted:
        raise CredentialNotFound(f"The credential `{record.name}` is deleted already.")
    log.info("credential.deleted", credential=record.id, by=principal.id, project=record.project_id)
    return CredentialDeletedView(deleted=record.id)
