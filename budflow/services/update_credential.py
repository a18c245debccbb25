"""update_credential: change a credential's name, values, hosts, grants or probe."""

from dataclasses import replace
from typing import Any

from pydantic import Field, model_validator

from budflow.errors import BudflowError
from budflow.log import get_log
from budflow.model.credential import CredentialConflict, CredentialRecord, CredentialUnreadable, Grants
from budflow.model.host_pattern import widens
from budflow.model.identity import utc_now
from budflow.model.principal import Principal
from budflow.services.credential_inputs import (
    HOSTS_DESCRIPTION,
    CredentialName,
    GrantsAsked,
    Hosts,
    ProbeAsked,
    Reference,
    Values,
)
from budflow.services.credential_ports import EncryptionKeyMissing
from budflow.services.credential_record import Entered, check_entered, find_credential
from budflow.services.credential_seal import sealed, value_names, values_of
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
    grants: GrantsAsked | None = Field(None, description="Who may use it, instead of all present grants.")
    grant: GrantsAsked | None = Field(None, description="Who may use it too: added to the grants as they are then.")
    revoke: GrantsAsked | None = Field(
        None, description="Who may no longer use it: taken from the grants as they are then, before `grant` adds."
    )
    probe: ProbeAsked | None = Field(None, description="The request that shows whether it works; null removes it.")
    expected_revision: int | None = Field(
        None,
        ge=1,
        le=NUMBER_MAX,
        description="The revision as you know it; refused where there is another. It counts values and hosts; of the "
        "grants `grant` and `revoke` lose none that somebody else changes.",
    )

    @model_validator(mode="after")
    def _one_way_to_change_grants(self) -> "UpdateCredential":
        if self.grants is not None and (self.grant is not None or self.revoke is not None):
            raise ValueError(
                "either give `grants`, which replace all, or `grant` and `revoke`, which change single ones"
            )
        return self


class ValuesNeeded(BudflowError):
    """A credential may be sent to more hosts only by who knows its secret values."""

    code = "credential.values_needed"
    http_status = 422
    hint = (
        "Send the secret `values` too, by `--prompt` or `--file` on the command line; else anybody could read them by "
        "a server of their own."
    )


@use_case("credential:write")
async def update_credential(services: Services, principal: Principal, request: UpdateCredential) -> CredentialView:
    """Change a credential. Executions that run use it as it is then from their next node on.

    Raises CredentialNotFound, CredentialInvalid, CredentialNameTaken, ValuesNeeded and CredentialConflict.
    """
    for attempt in range(TRIES):
        present = await find_credential(services, principal.project_id, request.credential)
        if request.expected_revision not in (None, present.revision):
            raise CredentialConflict(f"Its revision is {present.revision} by now.", revision=present.revision)
        try:
            changed, values = await _changed(services, present, request)
            if changed != present:
                await services.store.update_credential(changed, expected=present)
        except CredentialConflict:
            if attempt == TRIES - 1:
                raise
            continue
        if changed != present:
            services.credentials.forget(changed.id)
            log.info("credential.changed", credential=changed.id, by=principal.id, revision=changed.revision)
        return CredentialView.of(changed, value_names(changed, services.cipher) if values is None else values)
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
        grants=_grants_asked(present.grants, request),
        probe=present.probe,
    )
    if "probe" in request.model_fields_set:
        asked = replace(asked, probe=None if request.probe is None else request.probe.model_dump())
    values = None
    if request.values is not None or asked.hosts != present.hosts:
        old = await _present_values(services, present, request)
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
        record = sealed(replace(record, revision=present.revision + 1), values, services.cipher)
    return (record if record == present else replace(record, updated_at=utc_now())), values


def _grants_asked(present: Grants, request: UpdateCredential) -> Grants | None:
    """The grants after the change; None where nothing is said of them."""
    if request.grants is not None:
        return request.grants.to_grants()
    if request.grant is None and request.revoke is None:
        return None
    less, more = (Grants() if asked is None else asked.to_grants() for asked in (request.revoke, request.grant))
    return Grants(
        project=more.project or (present.project and not less.project),
        principals=(present.principals - less.principals) | more.principals,
        workflows=(present.workflows - less.workflows) | more.workflows,
    )


async def _present_values(services: Services, present: CredentialRecord, request: UpdateCredential) -> dict[str, Any]:
    """The values before the change. Raises CredentialConflict where a rotation took the row's key since it was read."""
    try:
        return values_of(present, services.cipher)
    except (CredentialUnreadable, EncryptionKeyMissing):
        now = await services.store.get_credential(present.project_id, present.id)
        if now != present:
            raise CredentialConflict from None
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
