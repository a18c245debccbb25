"""Idempotency keys of requests that start executions: the second equal request gets the first one's execution.

They are kept for a day and belong to one trigger of one workflow. After the IETF's draft of the `Idempotency-Key`
header (draft-ietf-httpapi-idempotency-key-header); a key is taken as it stands, quotation marks included.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import orjson
from pydantic import Field

from budflow.errors import BudflowError

HEADER = "Idempotency-Key"
KEY_PATTERN = r"^[\x21-\x7e]{1,255}$"

KeyText = Annotated[
    str,
    Field(
        pattern=KEY_PATTERN,
        description="1 to 255 visible ASCII characters. A second equal request with the same key starts nothing: it "
        "gets the first one's execution, for 24 hours.",
    ),
]


class FirstNotKept(BudflowError):
    """The idempotency key was used before, and the execution of that request is not kept any more."""

    code = "execution.first_not_kept"
    http_status = 410
    hint = "It was carried out: do not send it again. `settings.retention` says how long executions are kept."


@dataclass(frozen=True, slots=True)
class RequestKey:
    """A key as it was sent, and a hash of all that its request means."""

    text: str
    fingerprint: str


def is_key(text: str) -> bool:
    """Whether this may be a key."""
    return re.fullmatch(KEY_PATTERN[1:-1], text) is not None


def fingerprint_of(meaning: Mapping[str, Any]) -> str:
    """A hash of what a request means; equal for equal meanings, whatever the order of the keys in it."""
    return hashlib.sha256(orjson.dumps(meaning, option=orjson.OPT_SORT_KEYS)).hexdigest()
