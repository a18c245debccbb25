"""The idempotency key of a webhook's request: one request that is sent twice is carried out once."""

import hashlib

from budflow.errors import BudflowError
from budflow.services.idempotency_key import HEADER, RequestKey, is_key
from budflow.triggers.webhook import WebhookRequest


class KeyMalformed(BudflowError):
    """The `Idempotency-Key` cannot be used."""

    code = "webhook.key_malformed"
    http_status = 400
    hint = "Send 1 to 255 visible ASCII characters, such as a UUID, or no such header."


def request_key(request: WebhookRequest) -> RequestKey | None:
    """The key that the request came with, and what the request means: all but its other headers.

    Raises KeyMalformed, also where there are several: which of them is meant?
    """
    sent = [value for name, value in request.headers if name == HEADER.lower().encode()]
    if not sent:
        return None
    text = sent[0].decode("latin-1")
    if len(sent) > 1 or not is_key(text):
        raise KeyMalformed
    digest = hashlib.sha256()
    content_type = request.header("content-type") or ""
    for part in (request.method.encode(), request.path.encode(), request.query, content_type.encode(), request.body):
        digest.update(len(part).to_bytes(8, "big"))  # Where a part ends is a part of what is said.
        digest.update(part)
    return RequestKey(text, digest.hexdigest())
