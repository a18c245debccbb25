"""Encryption of credentials at rest: AES-256-GCM under a data key of their own, which a key of the server wraps.

A box is `version (1 byte) | nonce (12) | ciphertext | tag (16)`. So is a wrapped key, whose ciphertext is the 32 bytes
of the data key. Both are AES-256-GCM (NIST SP 800-38D) with a random 96-bit nonce (8.2.2) and a full tag. A data key
encrypts one box only; a key of the server wraps data keys, of which 8.3 allows 2^32.

Associated data (authenticated, not stored) are a domain that ends in the version, then each field with its length in 8
bytes before it, big-endian, so that no two lists of fields have the same encoding:

- of a box: the credential's id, project, kind, revision in decimal, the number of hosts in decimal, each host;
- of a wrapped key: the credential's id, project, kind, and the id of the key that wraps.

So what is moved to another credential, project or kind does not open, nor an older value under a newer revision, nor a
value whose hosts were changed by somebody who could not encrypt it for them.
"""

import secrets
from functools import cache
from typing import TYPE_CHECKING

from budflow.credentials.key_ring import KeyRing
from budflow.model.credential import CredentialRecord, CredentialUnreadable, Sealed
from budflow.services.credential_ports import EncryptionKeyMissing

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

VERSION = b"\x01"
NONCE_BYTES = 12
TAG_BYTES = 16
DATA_KEY_BYTES = 32

_BOX_DOMAIN = b"budflow credential values" + VERSION
_KEY_DOMAIN = b"budflow credential data key" + VERSION


class AesCipher:
    """Seals and opens the values of credentials with the keys of a ring."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring

    def seal(self, record: CredentialRecord, values: bytes) -> Sealed:
        """Encrypt the values of a record under a fresh data key; `record.sealed` is not read."""
        data_key = secrets.token_bytes(DATA_KEY_BYTES)
        return self._wrapped(record, data_key, _encrypt(data_key, values, _about_values(record)))

    def open(self, record: CredentialRecord) -> bytes:
        """The values. Raises CredentialUnreadable and EncryptionKeyMissing."""
        return _intact(_decrypt(self._data_key(record), record.sealed.box, _about_values(record)), record)

    def rewrap(self, record: CredentialRecord) -> Sealed:
        """The same box with its data key wrapped by the newest key. Raises as `open` does."""
        return self._wrapped(record, self._data_key(record), record.sealed.box)

    @property
    def newest(self) -> str:
        """The id of the key that seals; it is made where there is none."""
        return self._ring.newest().id

    @property
    def known(self) -> frozenset[str]:
        """The ids of all keys that it has."""
        return self._ring.known()

    def add_key(self) -> bool:
        """See KeyRing."""
        return self._ring.add_key()

    def drop_keys(self, in_use: frozenset[str]) -> None:
        """See KeyRing."""
        self._ring.drop_keys(in_use)

    def _wrapped(self, record: CredentialRecord, data_key: bytes, box: bytes) -> Sealed:
        key = self._ring.to_seal()
        return Sealed(key.id, _encrypt(key.secret, data_key, _about_key(record, key.id)), box)

    def _data_key(self, record: CredentialRecord) -> bytes:
        key_id = record.sealed.key_id
        key = self._ring.find(key_id)
        if key is None:
            raise EncryptionKeyMissing(
                f"The credential `{record.name}` ({record.id}) needs the encryption key {key_id}, which is not here.",
                credential=record.id,
                key=key_id,
            )
        return _intact(_decrypt(key.secret, record.sealed.wrapped_key, _about_key(record, key_id)), record)


def _about_values(record: CredentialRecord) -> bytes:
    hosts = record.hosts
    return _BOX_DOMAIN + _encoded(
        record.id, record.project_id, record.kind, str(record.revision), str(len(hosts)), *hosts
    )


def _about_key(record: CredentialRecord, key_id: str) -> bytes:
    return _KEY_DOMAIN + _encoded(record.id, record.project_id, record.kind, key_id)


def _encoded(*fields: str) -> bytes:
    encoded = [field.encode() for field in fields]
    return b"".join(len(field).to_bytes(8, "big") + field for field in encoded)


def _encrypt(key: bytes, plain: bytes, about: bytes) -> bytes:
    nonce = secrets.token_bytes(NONCE_BYTES)
    return VERSION + nonce + _aes()(key).encrypt(nonce, plain, about)


def _decrypt(key: bytes, sealed: bytes, about: bytes) -> bytes | None:
    """What was encrypted; None where anything of it is not as it was. Raises nothing, since its frame has the key."""
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - as `_aes`

    nonce_end = len(VERSION) + NONCE_BYTES
    if len(sealed) < nonce_end + TAG_BYTES or sealed[: len(VERSION)] != VERSION:
        return None
    try:
        return _aes()(key).decrypt(sealed[len(VERSION) : nonce_end], sealed[nonce_end:], about)
    except InvalidTag:
        return None


def _intact(plain: bytes | None, record: CredentialRecord) -> bytes:
    if plain is None:
        raise CredentialUnreadable(
            f"The credential `{record.name}` ({record.id}) cannot be decrypted: it was changed by somebody else than "
            "the server.",
            credential=record.id,
        )
    return plain


@cache
def _aes() -> "type[AESGCM]":
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - 25 ms, and not every server has one

    return AESGCM
