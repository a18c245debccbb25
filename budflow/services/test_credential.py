"""test_credential: find out by a real and harmless call whether a credential works."""

from pydantic import Field

from budflow.model.credential import TESTED, CredentialRecord, CredentialUse
from budflow.model.http import HttpRequest
from budflow.model.identity import utc_now
from budflow.model.principal import Principal
from budflow.services.credential_inputs import ProbeAsked, Reference
from budflow.services.credential_record import find_credential
from budflow.services.credential_seal import opened
from budflow.services.use_case import RequestModel, Services, View, use_case

TIMEOUT_SECONDS = 10.0
RESPONSE_BYTES_MAX = 1024 * 1024


class CredentialTest(RequestModel):
    """Which credential, and how."""

    credential: Reference
    probe: ProbeAsked | None = Field(
        None, description="The request to send, signed; left out: the credential's own, or what its kind knows."
    )


class CredentialTestView(View):
    """What came of it."""

    works: bool | None = Field(description="Null where it could not be found out.")
    answer: str = Field(description="What was seen.")


@use_case("credential:write")
async def test_credential(services: Services, principal: Principal, request: CredentialTest) -> CredentialTestView:
    """Try a credential by the harmless call that its kind or somebody named. It is sent only where it may be.

    Raises CredentialNotFound, HostRefused, CredentialUnreadable and EncryptionKeyMissing.
    """
    record = await find_credential(services, principal.project_id, request.credential)
    credential = opened(record, services.credential_kinds, services.cipher)
    asked = record.probe if request.probe is None else request.probe.model_dump()
    sent = None
    if asked is not None:
        credential.require_host(asked["url"])
        sent = HttpRequest(
            method=asked["method"],
            url=asked["url"],
            headers=(),
            body=None,
            timeout_seconds=TIMEOUT_SECONDS,
            follow_redirects=False,
            response_bytes_max=RESPONSE_BYTES_MAX,
        )
    await services.store.add_credential_use(_use(record, principal))  # First: what is not known is not sent either.
    probed = await services.prober.probe(credential, sent)
    return CredentialTestView(works=probed.works, answer=credential.redaction.text(probed.answer))


def _use(record: CredentialRecord, principal: Principal) -> CredentialUse:
    return CredentialUse(
        project_id=record.project_id,
        credential_id=record.id,
        used_at=utc_now(),
        workflow_id="",
        version=0,
        execution_id="",
        node="",
        slot=TESTED,
        author=principal.id,
        principal=principal.id,
    )
