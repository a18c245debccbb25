"""hmac: a shared secret that signs the body in a header (RFC 2104), for what is sent and for what comes in."""

import base64
import binascii
import hmac
import re
from datetime import datetime, timedelta
from functools import cached_property
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from budflow.credentials.header_secret import SettableHeader
from budflow.model.credential_kind import CredentialKind
from budflow.model.http import HttpRequest
from budflow.model.secret import Secret, SecretText

#: How far the time in a signature that comes in may be from ours; older ones may be replays.
TIMESTAMP_SKEW_MAX = timedelta(minutes=5)


class Hmac(CredentialKind):
    """A shared secret that signs the body of a request in a header, and checks such signatures of webhooks."""

    name: ClassVar[str] = "hmac"
    sends_secrets: ClassVar[bool] = False

    secret: Annotated[Secret, SecretText(max_length=4_096)] = Field(
        description="The shared secret, used as UTF-8.", examples=["whsec-2f0c6b1d9a"]
    )
    header: SettableHeader = Field(
        default="X-Signature",
        description="Header that carries the signature.",
        examples=["X-Signature", "X-Hub-Signature-256"],
    )
    algorithm: Literal["sha256", "sha512", "sha1"] = Field(
        default="sha256", description="Hash of the HMAC. Choose sha1 only for systems that know nothing else."
    )
    encoding: Literal["hex", "base64"] = Field(default="hex", description="How the signature is written.")
    prefix: str = Field(
        default="",
        max_length=50,
        pattern=r"^[^\x00-\x1f\x7f]*$",
        description="Text before the signature in the header; may be empty.",
        examples=["sha256="],
    )
    timestamp_header: SettableHeader | None = Field(
        default=None,
        description="Header for the time in seconds since 1970. With it the text `TIME.BODY` is signed instead of the "
        "body alone, so that nobody can send it again later.",
        examples=["X-Timestamp"],
    )

    def sign(self, request: HttpRequest, now: datetime) -> HttpRequest:
        """With the signature of the body, which is empty where there is none."""
        body = request.body or b""
        if self.timestamp_header is None:
            return request.with_header(self.header, self._header_of(self._digest(body)))
        time = str(int(now.timestamp()))
        signed = request.with_header(self.timestamp_header, time)
        return signed.with_header(self.header, self._header_of(self._digest(_timed(time, body))))

    def verify(
        self, header_value: str | None, body: bytes, *, timestamp: str | None = None, now: datetime | None = None
    ) -> bool:
        """Whether the value of `header` is the signature of the raw body, compared in constant time.

        With a `timestamp_header`, `timestamp` is its value and must be within five minutes of `now`.
        """
        given = None if header_value is None else self._signature_in(header_value)
        if given is None:
            return False
        if self.timestamp_header is None:
            return hmac.compare_digest(given, self._digest(body))
        if timestamp is None or now is None or not re.fullmatch(r"[0-9]{1,12}", timestamp):
            return False
        fresh = abs(now.timestamp() - int(timestamp)) <= TIMESTAMP_SKEW_MAX.total_seconds()
        return hmac.compare_digest(given, self._digest(_timed(timestamp, body))) and fresh

    @cached_property
    def _keyed(self) -> hmac.HMAC:
        """The HMAC of nothing. Copies of it save most of the time that a short message takes: that of its key."""
        return hmac.new(self.secret.reveal().encode(), digestmod=self.algorithm)

    def _digest(self, message: bytes) -> bytes:
        # Not `hmac.digest`: it lets go of the interpreter lock even for a few bytes, and waits to get it back.
        signed = self._keyed.copy()
        signed.update(message)
        return signed.digest()

    def _header_of(self, digest: bytes) -> str:
        return self.prefix + (digest.hex() if self.encoding == "hex" else base64.b64encode(digest).decode())

    def _signature_in(self, value: str) -> bytes | None:
        if not value.startswith(self.prefix):
            return None
        written = value[len(self.prefix) :]
        try:
            return bytes.fromhex(written) if self.encoding == "hex" else base64.b64decode(written, validate=True)
        except (ValueError, binascii.Error):
            return None


def _timed(timestamp: str, body: bytes) -> bytes:
    return timestamp.encode() + b"." + body
