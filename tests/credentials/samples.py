"""Credentials for tests: records, keys, and what must never be seen of them."""

import base64
import json
import traceback
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from budflow.credentials.cipher import AesCipher
from budflow.credentials.key_file import KeyFile, parse_keys
from budflow.credentials.key_ring import KeyRing
from budflow.model.credential import CredentialRecord, Grants, Sealed

TOKEN = "canary-2f7c1d"
NOW = datetime(2026, 1, 2, tzinfo=UTC)


class FakeClock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


def key_text(number: int) -> str:
    """A key as it stands in the settings; the same for the same number."""
    return base64.b64encode(bytes([number]) * 32).decode()


def given_cipher(*numbers: int, data_dir: Path = Path("/nonexistent")) -> AesCipher:
    """A cipher with given keys, newest first."""
    return AesCipher(KeyRing(parse_keys([key_text(number) for number in numbers], "given"), KeyFile(data_dir)))


def secret_keys(*numbers: int) -> tuple[SecretStr, ...]:
    return tuple(SecretStr(key_text(number)) for number in numbers)


def record(**different: Any) -> CredentialRecord:
    """A record that is not sealed yet."""
    ordinary = CredentialRecord(
        id="crd_1",
        project_id="default",
        name="crm",
        kind="bearer",
        revision=1,
        hosts=("api.example.com",),
        grants=Grants(project=True),
        probe=None,
        sealed=Sealed("", b"", b""),
        created_at=NOW,
        updated_at=NOW,
        created_by="owner",
    )
    return replace(ordinary, **different)


def sealed_record(
    cipher: AesCipher, values: bytes = json.dumps({"token": TOKEN}).encode(), **different: Any
) -> CredentialRecord:
    """One with a sealed value."""
    plain = record(**different)
    return replace(plain, sealed=cipher.seal(plain, values))


def all_that_an_error_shows(error: BaseException) -> str:
    """Its text, its details and every frame with its local variables, of all errors behind it."""
    shown: list[str] = []
    behind: BaseException | None = error
    while behind is not None:
        shown += [repr(behind), str(vars(behind))]
        # The first frame is the test's own, which knows everything.
        shown += traceback.TracebackException(
            type(behind), behind, behind.__traceback__ and behind.__traceback__.tb_next, capture_locals=True
        ).format()
        behind = behind.__cause__ or behind.__context__
    return "\n".join(shown)
