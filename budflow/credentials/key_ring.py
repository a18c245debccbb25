"""The encryption keys of a server, newest first: those that it was given, or those that it keeps in a file itself."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import SecretStr

from budflow.credentials.key_file import EncryptionKey, KeyFile, KeyList, parse_keys

#: A key that sealed something this long ago or less is not dropped: the row may still be on its way into the store,
#: none of which lets a call take longer.
UNDER_WAY_SECONDS = 90.0


def open_key_ring(keys: Sequence[SecretStr], data_dir: Path) -> "KeyRing":
    """The keys of a server: `keys` where there are any, and those of the file, which is made when one is needed.

    Raises EncryptionKeysInvalid and EncryptionKeysExposed.
    """
    given = parse_keys([key.get_secret_value().strip() for key in keys], "of BUDFLOW_ENCRYPTION_KEYS")
    ring = KeyRing(given, KeyFile(data_dir))
    ring.known()  # Says at the start what is wrong with the file.
    return ring


class KeyRing:
    """The keys by their ids. Where keys were given, those of a file only decrypt and the file is never changed."""

    def __init__(
        self, given: tuple[EncryptionKey, ...], file: KeyFile, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`clock` counts seconds."""
        self._given, self._file, self._clock = given, file, clock
        self._sealed_at: dict[str, float] = {}

    def newest(self) -> EncryptionKey:
        """The key that seals, which is made where there is none. Raises EncryptionKeysUnwritable too."""
        return self._given[0] if self._given else self._file.with_a_key().current[0]

    def to_seal(self) -> EncryptionKey:
        """The same, remembering that something is sealed with it now."""
        key = self.newest()
        self._sealed_at[key.id] = self._clock()
        return key

    def find(self, key_id: str) -> EncryptionKey | None:
        """The key with this id."""
        return next((key for key in self._all() if key.id == key_id), None)

    def known(self) -> frozenset[str]:
        """The ids of all."""
        return frozenset(key.id for key in self._all())

    def add_key(self) -> bool:
        """Make a new newest key durably; False where keys were given. None is made while a rotation has not ended."""
        if self._given:
            return False
        self._file.change(_with_new_key)
        return True

    def drop_keys(self, in_use: frozenset[str]) -> None:
        """End a rotation: forget the keys that nothing is wrapped with. Does nothing where keys were given."""
        if self._given:
            return
        recent = self._clock() - UNDER_WAY_SECONDS
        under_way = {key_id for key_id, at in self._sealed_at.items() if at >= recent}
        self._file.change(lambda keys: _without(keys, in_use | under_way))

    def _all(self) -> tuple[EncryptionKey, ...]:
        return self._given + self._file.read().all if self._given else self._file.restored().all


def _with_new_key(keys: KeyList) -> KeyList:
    if len(keys.current) > 1:
        return keys
    return KeyList((EncryptionKey.made(), *keys.current), keys.replaced)


def _without(keys: KeyList, needed: frozenset[str]) -> KeyList:
    return KeyList(keys.current[:1], tuple(key for key in keys.all[1:] if key.id in needed))
