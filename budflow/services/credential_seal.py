"""Between the values of a credential and what is sealed of them: the one place where what is stored becomes usable."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson
from pydantic import ValidationError

from budflow.model.credential import CredentialRecord, CredentialUnfit, CredentialUnreadable
from budflow.model.credential_kind import STORED, CredentialKind, OpenCredential
from budflow.services.credential_ports import Cipher, EncryptionKeyMissing, Kinds


def sealed(record: CredentialRecord, values: Mapping[str, Any], cipher: Cipher) -> CredentialRecord:
    """The record with these values, which were checked."""
    return replace(record, sealed=cipher.seal(record, orjson.dumps(values)))


def values_of(record: CredentialRecord, cipher: Cipher) -> dict[str, Any]:
    """What is sealed in a record, as it was entered. Raises CredentialUnreadable and EncryptionKeyMissing."""
    values: dict[str, Any] = orjson.loads(cipher.open(record))
    return values


def value_names(record: CredentialRecord, cipher: Cipher) -> list[str] | None:
    """Which values are set, by name; None where they cannot be decrypted."""
    try:
        return sorted(values_of(record, cipher))
    except (CredentialUnreadable, EncryptionKeyMissing):
        return None


def opened(record: CredentialRecord, kinds: Kinds, cipher: Cipher) -> OpenCredential:
    """What a node may use. Raises CredentialUnreadable, EncryptionKeyMissing and CredentialUnfit."""
    values = _validated(kind_of(record, kinds), cipher.open(record))
    if values is None:
        raise CredentialUnfit(
            f"What the credential `{record.name}` holds does not fit the kind {record.kind} of this release.",
            hint="Enter its value anew.",
            credential=record.name,
        )
    return OpenCredential(record.id, record.name, record.kind, values, record.hosts)


def kind_of(record: CredentialRecord, kinds: Kinds) -> type[CredentialKind]:
    """The kind of a stored credential. Raises CredentialUnfit."""
    kind = kinds.get(record.kind)
    if kind is None:
        raise CredentialUnfit(
            f"This server does not know the kind {record.kind} of the credential `{record.name}`.",
            credential=record.name,
        )
    return kind


def _validated(kind: type[CredentialKind], plain: bytes) -> CredentialKind | None:
    # An error raised in here would keep hold of the values, in its frames and as its context.
    try:
        return kind.model_validate_json(plain, context=STORED)
    except ValidationError:
        return None
