"""Keys: from the `Authorization` header to a Principal. One owner and one key for now."""

import hmac
from dataclasses import replace

from budflow.model.principal import OWNER, Door, KeyRefused, Principal


class Keys:
    """The keys this server knows."""

    def __init__(self, owner_key: str) -> None:
        self._owner_key = owner_key.encode()

    def principal(self, authorization: str | None, door: Door) -> Principal:
        """Whose key it is. Raises KeyRefused for none, a malformed or an unknown one, in constant time."""
        scheme, _, key = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(key.strip().encode(), self._owner_key):
            raise KeyRefused
        return replace(OWNER, door=door)
