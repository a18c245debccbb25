"""get_credential: one credential without its values."""

from budflow.model.principal import Principal
from budflow.services.credential_inputs import Reference
from budflow.services.credential_record import find_credential
from budflow.services.credential_seal import value_names
from budflow.services.credential_views import CredentialView
from budflow.services.use_case import RequestModel, Services, use_case


class GetCredential(RequestModel):
    """Which credential."""

    credential: Reference


@use_case("credential:read")
async def get_credential(services: Services, principal: Principal, request: GetCredential) -> CredentialView:
    """Read a credential: its kind, where it may be sent, who may use it, which of its values are set; never a value."""
    record = await find_credential(services, principal.project_id, request.credential)
    return CredentialView.of(record, value_names(record, services.cipher))
