"""create_credential: store a credential, sealed."""

from pydantic import Field

from budflow.log import get_log
from budflow.model.principal import Principal
from budflow.services.credential_inputs import (
    HOSTS_DESCRIPTION,
    CredentialName,
    GrantsAsked,
    Hosts,
    ProbeAsked,
    Values,
)
from budflow.services.credential_record import Entered, new_credential
from budflow.services.credential_views import CredentialView
from budflow.services.use_case import RequestModel, Services, use_case

log = get_log(__name__)


class CreateCredential(RequestModel):
    """A new credential."""

    kind: str = Field(max_length=64, description="Such as `bearer`; `GET /api/v1/credential-kinds` lists them.")
    name: CredentialName = Field(description="By which workflows refer to it; unique in the project.")
    values: Values = Field(repr=False, description="What the kind's schema asks for. Written and never read.")
    hosts: Hosts = Field(default_factory=list, description=HOSTS_DESCRIPTION)
    grants: GrantsAsked | None = Field(None, description="Who may use it; left out: workflow versions that you save.")
    probe: ProbeAsked | None = Field(None, description="The request that shows whether it works.")


@use_case("credential:write")
async def create_credential(services: Services, principal: Principal, request: CreateCredential) -> CredentialView:
    """Store a credential, encrypted. Its values can be changed and used, and never be read again.

    Raises CredentialInvalid with every problem, and CredentialNameTaken.
    """
    entered = Entered(
        name=request.name,
        kind=request.kind,
        values=request.values,
        hosts=tuple(request.hosts),
        grants=None if request.grants is None else request.grants.to_grants(),
        probe=None if request.probe is None else request.probe.model_dump(),
    )
    record, values = await new_credential(services, principal.project_id, entered, created_by=principal.id)
    await services.store.add_credential(record)
    log.info("credential.created", credential=record.id, by=principal.id, project=record.project_id)
    return CredentialView.of(record, values)
