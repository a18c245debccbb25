"""The name of an installation, which all its processes know by their database: in a Redis it keeps things apart."""

import hashlib
from typing import Protocol

KEY_NAME = "installation"
NAME_CHARACTERS = 16


class KeyStore(Protocol):
    """Where the name comes from."""

    async def get_server_key(self, name: str) -> bytes:
        """32 random bytes that all servers of this database share."""
        ...


async def installation_of(store: KeyStore) -> str:
    """A name of NAME_CHARACTERS hexadecimal digits, the same for every process of a database. It is no secret."""
    return hashlib.sha256(await store.get_server_key(KEY_NAME)).hexdigest()[:NAME_CHARACTERS]
