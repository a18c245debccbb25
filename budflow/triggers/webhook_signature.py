"""The signature of a webhook's request: an HMAC (RFC 2104) over the raw body, compared in constant time."""

import base64
import binascii
import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import Protocol, cast

from budflow.errors import BudflowError
from budflow.execution.ports import CredentialSource, CredentialUser
from budflow.log import get_log
from budflow.model.credential import CredentialNotFound, CredentialRefused, CredentialUnfit, CredentialUnreadable
from budflow.model.credential_kind import OpenCredential
from budflow.nodes.trigger.webhook import SIGNATURE_KINDS, Signature
from budflow.services.credential_ports import EncryptionKeyMissing
from budflow.triggers.webhook import WebhookRequest

log = get_log(__name__)


class SignatureRefused(BudflowError):
    """The request's signature is missing or wrong."""

    code = "webhook.signature_refused"
    http_status = 401
    hint = "Sign the raw body with the secret that the workflow's owner gave you."


class SecretMissing(BudflowError):
    """The server cannot check the signature of this webhook."""

    code = "webhook.secret_missing"
    http_status = 500
    hint = "Tell the owner of the server: its log says what is missing."


#: Why a credential cannot be used: what its owner has to mend.
_UNUSABLE = (CredentialNotFound, CredentialRefused, CredentialUnfit, CredentialUnreadable, EncryptionKeyMissing)


class _Verifier(Protocol):
    """What each of SIGNATURE_KINDS can do: see budflow/credentials/kinds/hmac.py."""

    @property
    def header(self) -> str: ...

    @property
    def timestamp_header(self) -> str | None: ...

    def verify(self, header_value: str | None, body: bytes, *, timestamp: str | None, now: datetime) -> bool: ...


async def open_signature(source: CredentialSource, user: CredentialUser, reference: str) -> OpenCredential:
    """The credential that a webhook's requests are signed with.

    Raises SecretMissing where the workflow cannot have it, in words that tell the sender nothing; the log says why.
    """
    try:
        return await source.open(user, reference, SIGNATURE_KINDS)
    except _UNUSABLE as error:
        _tell_owner(user, reference, error)
        raise SecretMissing from None


def check_signed(credential: OpenCredential, request: WebhookRequest, now: datetime) -> None:
    """Raise SignatureRefused unless the request is signed as the credential says."""
    kind = cast("_Verifier", credential.values)
    timestamp = None if kind.timestamp_header is None else request.header(kind.timestamp_header)
    if not kind.verify(request.header(kind.header), request.body, timestamp=timestamp, now=now):
        raise SignatureRefused


def check_signature(signature: Signature, header: str | None, body: bytes, environment: Mapping[str, str]) -> None:
    """Compare `header`, the value of `signature.header`, with what the secret in `environment` makes of `body`.

    Raises SignatureRefused; SecretMissing where the variable is unset or empty, in words that name no variable.
    """
    secret = environment.get(signature.variable)
    if not secret:
        log.error("webhook.secret_missing", variable=signature.variable)
        raise SecretMissing
    if header is None or not header.startswith(signature.prefix):
        raise SignatureRefused
    written = header[len(signature.prefix) :]
    try:
        given = bytes.fromhex(written) if signature.encoding == "hex" else base64.b64decode(written, validate=True)
    except (ValueError, binascii.Error):
        raise SignatureRefused from None
    # Not `hmac.digest`: it lets go of the interpreter lock even for a few bytes, and waits to get it back.
    if not hmac.compare_digest(given, hmac.new(secret.encode(), body, signature.algorithm).digest()):
        raise SignatureRefused


def _tell_owner(user: CredentialUser, reference: str, error: BudflowError) -> None:
    log.error(
        "webhook.credential_unusable",
        workflow_id=user.workflow_id,
        credential=reference,
        code=error.code,
        reason=error.message,
        hint=error.hint,
    )
