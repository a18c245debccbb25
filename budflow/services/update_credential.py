"""update_credential: change a credential's name, values, hosts, grants or probe."""

from dataclasses import replace
from typing import Any

from pydantic import Field

from budflow.errors import BudflowError
from budflow.log import get_log
from budflow.model.credential import CredentialConflict, CredentialRecord, CredentialUnreadable
from budflow.model.identity import utc_now
from budflow.model.principal import Principal
from budflow.services.credential_fields import (
    HOSTS_DESCRIPTION,
    CredentialName,
    GrantsAsked,
    Hosts,
    ProbeAsked,
    Reference,
    Values,
)
from budflow.services.credential_hosts import widens
from budflow.services.credential_ports import EncryptionKeyMissing
from budflow.services.credential_record import Entered, check_entered, find_credential, names_set, sealed, values_of
from budflow.services.credential_values import secret_names
from budflow.services.credential_views import CredentialView
from budflow.services.use_case import NUMBER_MAX, RequestModel, Services, use_case

#: Changes of others that one change takes in before it gives up.
TRIES = 5

log = get_log(__name__)


class UpdateCredential(RequestModel):
    """What to change of which credential; what is left out stays."""

    credential: Reference
    name: CredentialName | None = Field(None, description="A new name: workflows that say the old one lose it.")
    values: Values | None = Field(
        None, repr=False, description="The values to replace; null removes one. The others stay."
    )
    hosts: Hosts | None = Field(
        None, description=f"{HOSTS_DESCRIPTION} More of them than now need all its secret values anew."
    )
    grants: GrantsAsked | None = Field(None, description="Who may use it, instead of the present grants.")
    probe: ProbeAsked | None = Field(None, description="The request that shows whether it works; null removes it.")
    expected_revision: int | None = Field(
        None, ge=1, le=NUMBER_MAX, description="The revision as you know it; refused where there is another."
    )


class ValuesNeeded(BudflowError):
    """A credential may be sent to more hosts only by who knows its secret values."""

    code = "credential.values_needed"
    http_status = 422
    hint = "Send the `values` that `fields` names, too; else anybody could read them by a server of their own."


@use_case("credential:write")
async def update_credential(services: Services, principal: Principal, request: UpdateCredential) -> CredentialView:
    """Change a credential. Executions that run use it as it is then from their next node on.

    Raises CredentialNotFound, CredentialInvalid, CredentialNameTaken, ValuesNeeded and CredentialConflict.
    """
    for attempt in range(TRIES):
        present = await find_credential(services, principal.project_id, request.credential)
        if request.expected_revision not in (None, present.revision):
            raise CredentialConflict(f"Its revision is {present.revision} by now.", revision=present.revision)
        changed, values = await _changed(services, present, request)
        try:
            if changed != present:
                await services.store.update_credential(changed, expected=present)
        except CredentialConflict:
            if attempt == TRIES - 1:
                raise
            continue
        if changed != present:
            services.credentials.forget(changed.id)
            log.info("credential.changed", credential=changed.id, by=principal.id, revision=changed.revision)
        return CredentialView.of(changed, names_set(services, changed) if values is None else values)
    raise CredentialConflict


async def _changed(
    services: Services, present: CredentialRecord, request: UpdateCredential
) -> tuple[CredentialRecord, dict[str, Any] | None]:
    """The record after the change, and its values where they were looked at."""
    asked = Entered(
        name=request.name or present.name,
        kind=present.kind,
        values=None,
        hosts=present.hosts if request.hosts is None else tuple(request.hosts),
        grants=None if request.grants is None else request.grants.to_grants(),
        probe=present.probe,
    )
    if "probe" in request.model_fields_set:
        asked = replace(asked, probe=None if request.probe is None else request.probe.model_dump())
    values = None
    if request.values is not None or asked.hosts != present.hosts:
        old = _present_values(services, present, request)
        if widens(present.hosts, asked.hosts):
            _require_secrets(services, present, old, request)
        merged = {**old, **(request.values or {})}
        values = {name: value for name, value in merged.items() if value is not None}
        asked = replace(asked, values=values)
    await check_entered(services, present.project_id, asked, present=present)
    record = replace(
        present, name=asked.name, hosts=asked.hosts, grants=asked.grants or present.grants, probe=asked.probe
    )
    if values is not None:
        record = sealed(services, replace(record, revision=present.revision + 1), values)
    return (record if record == present else replace(record, updated_at=utc_now())), values


def _present_values(services: Services, present: CredentialRecord, request: UpdateCredential) -> dict[str, Any]:
    try:
        return values_of(services, present)
    except (CredentialUnreadable, EncryptionKeyMissing):
        if request.values is None:
            raise
        return {}  # What is entered now must be whole by itself.


def _require_secrets(
    services: Services, present: CredentialRecord, old: dict[str, Any], request: UpdateCredential
) -> None:
    kind = services.credential_kinds.get(present.kind)
    lacking = [] if kind is None else sorted(secret_names(kind, old) - (request.values or {}).keys())
    if lacking:
        named = ", ".join(f"`{name}`" for name in lacking)
        raise ValuesNeeded(f"`{present.name}` gets hosts that it had not: {named} must be given anew.", fields=lacking)
