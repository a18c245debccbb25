"""Keys: from the `Authorization` header to a Principal. The owner's, and one that may only read metrics."""

import hmac
from dataclasses import replace

from budflow.model.principal import METRICS_READER, OWNER, Door, KeyRefused, Principal


class Keys:
    """The keys this server knows."""

    def __init__(self, owner_key: str, metrics_key: str | None = None) -> None:
        self._owner_key = owner_key.encode()
        self._metrics_key = None if metrics_key is None else metrics_key.encode()

    def principal(self, authorization: str | None, door: Door) -> Principal:
        """Whose key it is. Raises KeyRefused for none, a malformed or an unknown one, in constant time."""
        scheme, _, key = (authorization or "").partition(" ")
        given = key.strip().encode()
        if scheme.lower() == "bearer":
            if hmac.compare_digest(given, self._owner_key):
                return replace(OWNER, door=door)
            if self._metrics_key is not None and hmac.compare_digest(given, self._metrics_key):
                return replace(METRICS_READER, door=door)
        raise KeyRefused

    def owner(self, authorization: str | None, door: Door) -> Principal:
        """The owner, for what no permission is asked for. Raises KeyRefused for any other key, too."""
        principal = self.principal(authorization, door)
        if principal.id != OWNER.id:
            raise KeyRefused
        return principal
