"""The lease on leading where it is kept in the database."""

from budflow.services.leader_ports import LeaderRow, LeaderStore

#: What is led. There is one lead an installation, which is one database.
NAME = "main"


class StoreLease:
    """Meets LeaderLease; the store is closed by its owner."""

    def __init__(self, store: LeaderStore) -> None:
        self._store = store

    async def acquire(self, holder: str, *, seconds: float) -> int | None:
        """See LeaderLease."""
        return await self._store.acquire_lead(NAME, holder, seconds=seconds)

    async def renew(self, token: int, *, seconds: float) -> bool:
        """See LeaderLease."""
        return await self._store.renew_lead(NAME, token, seconds=seconds)

    async def release(self, holder: str) -> None:
        """See LeaderLease."""
        await self._store.release_lead(NAME, holder)

    async def current(self) -> LeaderRow | None:
        """See LeaderLease."""
        return await self._store.current_lead(NAME)

    async def close(self) -> None:
        """See LeaderLease."""
