"""answer_credential_request: a person enters the values that somebody asked for; the link ends with that."""

from dataclasses import replace

from pydantic import Field

from budflow.log import get_log
from budflow.model.credential import CredentialNameTaken
from budflow.model.host_pattern import widens
from budflow.model.principal import Principal
from budflow.model.problem import Problem
from budflow.services.credential_inputs import Hosts, Values
from budflow.services.credential_links import Token, find_request
from budflow.services.credential_record import Entered, new_credential
from budflow.services.credential_values import CredentialInvalid
from budflow.services.use_case import RequestModel, Services, View, use_case

log = get_log(__name__)


class AnswerCredentialRequest(RequestModel):
    """The token of a link, and what was entered."""

    token: Token = Field(repr=False)
    values: Values = Field(repr=False, description="What the kind's schema asks for.")
    hosts: Hosts | None = Field(None, description="Fewer hosts than were asked for.")


class CredentialEnteredView(View):
    """The credential that was made."""

    id: str
    name: str


@use_case("credential:write")
async def answer_credential_request(
    services: Services, principal: Principal, request: AnswerCredentialRequest
) -> CredentialEnteredView:
    """Store the credential that was asked for, made in the name of who asked.

    Raises RequestUsed, CredentialInvalid and CredentialNameTaken; the link still works after the latter two.
    """
    asked = await find_request(services, request.token)
    hosts = asked.hosts if request.hosts is None else tuple(request.hosts)
    if widens(asked.hosts, hosts):
        advice = "Choose among those that were asked for, or have a new link made."
        raise CredentialInvalid(
            problems=(Problem("credential.hosts_wider", "/hosts", "There are hosts that nobody asked for.", advice),)
        )
    # Who may use it was checked when it was asked for: who enters the value could not mend it.
    entered = Entered(asked.name, asked.kind, request.values, hosts, grants=None, probe=None)
    record, _ = await new_credential(services, asked.project_id, entered, created_by=asked.asked_by)
    record = replace(record, grants=asked.grants)
    try:
        await services.store.add_credential(record, request_id=asked.id)
    except CredentialNameTaken:
        await find_request(services, request.token)  # Raises where it was this link that took the name: sent twice.
        raise
    log.info("credential.created", credential=record.id, by=asked.asked_by, request=asked.id)
    return CredentialEnteredView(id=record.id, name=record.name)
