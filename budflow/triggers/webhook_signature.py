"""The signature of a webhook's request: an HMAC (RFC 2104) over the raw body, compared in constant time."""

import base64
import binascii
import hmac
from collections.abc import Mapping

from budflow.errors import BudflowError
from budflow.log import get_log
from budflow.nodes.trigger.webhook import Signature

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
    hint = "Tell the owner of the server: its log names the variable that must be set."


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
    if not hmac.compare_digest(given, hmac.digest(secret.encode(), body, signature.algorithm)):
        raise SignatureRefused
