"""Tickets: what lets a requester, a worker that was started, or an external worker speak to sandboxd, once each.

A ticket is `payload.mac`, both base64url: the payload as JSON, and its HMAC-SHA256 by the key of sandboxd. Whoever
holds the key may make tickets for every project; whoever holds a ticket may use it once, before it expires.
"""

import base64
import binascii
import hmac
import os
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import orjson

from budflow.errors import BudflowError

KEY_FILE = "sandbox.key"
KEY_BYTES = 32
#: A requester makes a ticket and comes with it at once; one for an external worker travels through other hands.
REQUESTER_SECONDS = 60.0
#: The subject of a ticket of who asks for the status, and for nothing else; no project has this id.
STATUS = ""
EXTERNAL_SECONDS = 3_600.0
EXTERNAL_SECONDS_MAX = 7 * 86_400.0
TICKET_BYTES_MAX = 2_048
_USED = re.compile(r"([0-9a-f]{24}) ([0-9]+(?:\.[0-9]+)?)")

TicketKind = Literal["requester", "worker", "external"]


class SandboxTicketRefused(BudflowError):
    """The ticket is forged, expired, was used before, or is for something else."""

    code = "sandbox.ticket_refused"
    http_status = 403
    hint = "A ticket is good once and for a time; make a new one with the key of the very sandboxd that it is for."


class SandboxKeyUnreadable(BudflowError):
    """The key of sandboxd cannot be read."""

    code = "sandbox.key_unreadable"
    http_status = 500
    hint = "It stands beside `sandboxd.sock`; whoever asks for sandboxes must be allowed to read both."


@dataclass(frozen=True, slots=True)
class Grant:
    """What a ticket allows. `subject` is the project of a requester or an external worker, or the id of a worker.

    An external worker has the packages of `image` ("": those of the base image) and at most `memory_mb`. A requester
    with an `image` has its code run in that one, whatever its requirements mean by now.
    """

    kind: TicketKind
    subject: str
    expires_at: float
    nonce: str
    image: str = ""
    memory_mb: int = 0


class Tickets:
    """Makes and takes tickets by one key. With `used`, a file, those of external workers stay used over restarts."""

    def __init__(self, key: bytes, *, now: Callable[[], float] = time.time, used: Path | None = None) -> None:
        self._key, self._now, self._file = key, now, used
        self._used = _read_used(used, now()) if used is not None else {}

    def issue(self, kind: TicketKind, subject: str, seconds: float, *, image: str = "", memory_mb: int = 0) -> str:
        """A ticket that is good once, for `seconds`."""
        payload = orjson.dumps(
            {
                "kind": kind,
                "subject": subject,
                "expires_at": self._now() + seconds,
                "nonce": secrets.token_hex(12),
                "image": image,
                "memory_mb": memory_mb,
            }
        )
        return f"{_text(payload)}.{_text(self._mac(payload))}"

    def redeem(self, ticket: str, kind: TicketKind, subject: str | None = None, image: str | None = None) -> Grant:
        """What the ticket allows, where it is for what is expected; it is used from now on.

        Raises SandboxTicketRefused, which does not say more.
        """
        payload, _, mac = ticket.partition(".")
        if len(ticket) > TICKET_BYTES_MAX or not hmac.compare_digest(self._mac(_bytes(payload)), _bytes(mac)):
            raise SandboxTicketRefused
        grant = _grant(orjson.loads(_bytes(payload)))
        now = self._now()
        if grant.kind != kind or (subject is not None and grant.subject != subject) or grant.expires_at <= now:
            raise SandboxTicketRefused
        if grant.nonce in self._used or (image is not None and grant.image != image):
            raise SandboxTicketRefused
        self._used = {nonce: end for nonce, end in self._used.items() if end > now} | {grant.nonce: grant.expires_at}
        if self._file is not None and kind == "external":
            _add_used(self._file, grant)
        return grant

    def _mac(self, payload: bytes) -> bytes:
        return hmac.digest(self._key, b"budflow sandbox ticket\n" + payload, "sha256")


def make_key(directory: Path, *, group: int | None = None) -> bytes:
    """The key of the sandboxd of this directory, made where there is none; only its user, and the group, may read it.

    Raises SandboxKeyUnreadable.
    """
    path = directory / KEY_FILE
    if path.exists():
        return read_key(directory)
    # Whole or not at all: a disk that is full must not leave half a key, with which nothing could start again.
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        if group is not None:
            os.fchown(file.fileno(), -1, group)
            os.fchmod(file.fileno(), 0o640)
        key = secrets.token_bytes(KEY_BYTES)
        file.write(key)
    fresh.replace(path)
    return key


def read_key(directory: Path) -> bytes:
    """The key of the sandboxd of this directory. Raises SandboxKeyUnreadable."""
    try:
        key = (directory / KEY_FILE).read_bytes()
    except OSError as error:
        raise SandboxKeyUnreadable(f"The key of sandboxd cannot be read: {error.strerror}.") from error
    if len(key) != KEY_BYTES:
        raise SandboxKeyUnreadable("The file of the key of sandboxd does not hold a key.")
    return key


def _grant(shape: dict[str, Any]) -> Grant:
    return Grant(**shape)  # Its MAC was right: it is one of ours.


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    try:
        raw = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise SandboxTicketRefused from error
    if _text(raw) != text:  # The last letter has bits that say nothing.
        raise SandboxTicketRefused
    return raw


def _read_used(file: Path, now: float) -> dict[str, float]:
    """Those that could still be used again; the others leave the file."""
    try:
        lines = file.read_text().splitlines()
    except FileNotFoundError:
        return {}
    pairs = (found.groups() for found in map(_USED.fullmatch, lines) if found)  # A full disk leaves half a line.
    used = {nonce: float(end) for nonce, end in pairs if float(end) > now}
    fresh = file.with_suffix(".new")
    fresh.write_text("".join(f"{nonce} {end}\n" for nonce, end in used.items()))
    fresh.replace(file)
    return used


def _add_used(file: Path, grant: Grant) -> None:
    with file.open("a") as lines:
        lines.write(f"\n{grant.nonce} {grant.expires_at}\n")  # Not behind what a full disk left of another one.
        lines.flush()
        os.fsync(lines.fileno())
