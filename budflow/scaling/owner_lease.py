"""The lease on leading where there is nobody to share it with: the owner of a SQLite file, or of a store in memory."""

from budflow.services.leader_ports import LeaderRow


class OwnerLease:
    """Meets LeaderLease. It always answers yes, and ends with its process."""

    def __init__(self) -> None:
        self._holder: str | None = None
        self._token = 0

    async def acquire(self, holder: str, *, seconds: float) -> int | None:
        """See LeaderLease."""
        self._holder = holder
        self._token += 1
        return self._token

    async def renew(self, token: int, *, seconds: float) -> bool:
        """See LeaderLease."""
        return self._holder is not None and token == self._token

    async def release(self, holder: str) -> None:
        """See LeaderLease."""
        if holder == self._holder:
            self._holder = None

    async def current(self) -> LeaderRow | None:
        """See LeaderLease."""
        return None if self._holder is None else LeaderRow(self._holder, self._token, None)

    async def close(self) -> None:
        """See LeaderLease."""
