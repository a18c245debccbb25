"""Resume links: addresses that let somebody without an account answer what an execution waits for.

A link is a token after `/resume/`: what it is for, and an HMAC-SHA256 (RFC 2104) of that. Whoever holds it may answer,
until it expires. Nothing of it is stored: that it was used is seen by the wait, which can be answered once.
"""

import binascii
import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson

from budflow.errors import BudflowError
from budflow.execution.records import OpenWait
from budflow.model.execution import Execution, WaitReason
from budflow.model.identity import utc_now

PREFIX = "/resume/"
KEY_NAME = "resume_links"
TOKEN_CHARS_MAX = 1_000
VERSION = 1
#: What a bearer of a link may answer; doubts after a crash are for who runs the workflow.
LINKABLE: frozenset[WaitReason] = frozenset({"webhook", "form", "approval"})
#: A new link is as long-lived as the setting says but for this part of it at most, within which it stays the same: a
#: node that is run again after a crash sends what it sent before.
STEADY_PART = 0.1


class LinkInvalid(BudflowError):
    """This is no resume link of this server."""

    code = "wait.link_invalid"
    http_status = 404
    hint = "Take the whole address as it was sent; the execution shows its open waits with fresh addresses."


class LinkExpired(BudflowError):
    """The resume link has expired."""

    code = "wait.link_expired"
    http_status = 410
    hint = "Ask for a new one: the execution shows its open waits with fresh addresses."


@dataclass(frozen=True, slots=True)
class ResumeLink:
    """What a token says. `node` is a node path; None means the only open wait of the execution."""

    project_id: str
    execution_id: str
    node: str | None
    expires_at: datetime


class ResumeLinks:
    """Makes and reads the links. Without `public_url`, the address at which others reach this server, it makes none."""

    def __init__(self, key: bytes, public_url: str | None, seconds: float) -> None:
        self._key, self._seconds = key, seconds
        self.public_url = None if public_url is None else public_url.rstrip("/")

    def of_execution(self, execution: Execution) -> str | None:
        """The address that answers the only open wait of an execution."""
        return self._address(execution.project_id, execution.id, "", execution.created_at)

    def of_wait(self, wait: OpenWait) -> str | None:
        """The address that answers this wait; None for one that nobody without an account may answer."""
        if wait.reason not in LINKABLE:
            return None
        return self._address(wait.project_id, wait.execution_id, wait.node, wait.opened_at)

    def read(self, token: str) -> ResumeLink:
        """What a token is for. Raises LinkInvalid, LinkExpired."""
        said, _, mac = token.partition(".")
        if len(token) > TOKEN_CHARS_MAX or not token.isascii() or not hmac.compare_digest(mac, self._mac(said)):
            raise LinkInvalid
        try:
            version, project_id, execution_id, node, expires_ms = orjson.loads(urlsafe_b64decode(said + "=="))
        except (binascii.Error, ValueError) as error:
            raise LinkInvalid from error
        if version != VERSION:
            raise LinkInvalid
        expires_at = _EPOCH + timedelta(milliseconds=expires_ms)
        if expires_at <= utc_now():
            raise LinkExpired(f"The resume link expired at {expires_at:%Y-%m-%d %H:%M:%S} UTC.")
        return ResumeLink(project_id, execution_id, node or None, expires_at)

    def _address(self, project_id: str, execution_id: str, node: str, since: datetime) -> str | None:
        if self.public_url is None:
            return None
        step = self._seconds * STEADY_PART
        steps = max(0.0, (utc_now() - since).total_seconds()) // step
        expires_at = since + timedelta(seconds=steps * step + self._seconds)
        expires_ms = (expires_at - _EPOCH) // timedelta(milliseconds=1)
        said = _text(orjson.dumps([VERSION, project_id, execution_id, node, expires_ms]))
        return f"{self.public_url}{PREFIX}{said}.{self._mac(said)}"

    def _mac(self, said: str) -> str:
        return _text(hmac.digest(self._key, said.encode(), hashlib.sha256))


_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
