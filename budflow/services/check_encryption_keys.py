"""check_encryption_keys: at start, whether the server has the keys that its stored credentials need."""

from typing import Protocol

from budflow.log import get_log
from budflow.services.credential_ports import Cipher, EncryptionKeyMissing

log = get_log(__name__)


class KeyIds(Protocol):
    """The part of the store that is needed here."""

    async def list_key_ids(self) -> frozenset[str]:
        """The ids of the keys of the server with which any credential is wrapped."""
        ...


async def check_encryption_keys(store: KeyIds, cipher: Cipher, *, lost: bool = False) -> None:
    """Raise EncryptionKeyMissing, which names the ids, where stored credentials need keys that are not there.

    With `lost` it is only logged: what needs no such credential works, and their values can be entered anew.
    """
    needed = await store.list_key_ids()
    missing = sorted(needed - cipher.known) if needed else []
    if missing and lost:
        log.error("encryption.keys_lost", keys=missing, hint="Enter the values of their credentials anew.")
    elif missing:
        raise EncryptionKeyMissing(
            f"Stored credentials need encryption keys that this server does not have: {', '.join(missing)}.",
            keys=missing,
        )
