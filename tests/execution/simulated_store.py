"""A store in memory that several simulated servers share, each over a connection that is slow, fails or is cut."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

from budflow.execution.ports import Lease
from budflow.execution.records import JournalWrite
from budflow.model.execution import ClaimLost, Execution
from budflow.model.identity import utc_now
from budflow.storage.errors import StorageUnavailable
from budflow.storage.memory.claims import MemoryClaims
from budflow.storage.memory.store import MemoryStore
from budflow.storage.rows import to_micros


class LeasedClaims(MemoryClaims):
    """Claims of several runners that live side by side: only those whose lease ran out are dead."""

    leases: dict[str, datetime] | None = None

    def release_dead(self, runner: str) -> list[str]:
        now, leases = utc_now(), self.leases or {}
        dead: set[str] = set()
        for row in list(self._executions.values()):
            holder = row.runner
            if row.status == "running" and holder not in (None, runner) and leases.get(holder or "", now) <= now:
                dead.add(holder or "")
                self._give_back(row, to_micros(now))
        return sorted(dead)


@dataclass
class SimulatedLease:
    """Meets budflow.execution.ports.Lease: renewed by the event loop itself, so a frozen server loses it."""

    leases: dict[str, datetime]
    runner: str
    seconds: float
    lost: bool = False

    def beat(self) -> None:
        self.leases[self.runner] = utc_now() + timedelta(seconds=self.seconds)

    async def close(self) -> None:
        self.leases.pop(self.runner, None)


class SharedStore(MemoryStore):
    """What all servers of a simulation share. It knows who lives, and keeps how every row looked when it had ended."""

    def __init__(self) -> None:
        super().__init__()
        self._claims = LeasedClaims(self._tables)
        self._claims.leases = self.leases = {}
        self.refused = 0  # Writes of those who had lost their claim.

    async def append(self, write: JournalWrite) -> None:
        try:
            await super().append(write)
        except ClaimLost:
            self.refused += 1
            raise

    async def open_lease(self, runner: str, *, seconds: float) -> Lease:
        lease = SimulatedLease(self.leases, runner, seconds)
        lease.beat()
        return lease

    async def rows(self) -> list[Execution]:
        """Every execution, the oldest first."""
        return [*reversed((await self.list_executions("default", limit=100_000)).items)]


class Connection:
    """One server's way to the store; any of its methods may be called.

    Each fails with a chance of `faulty`, before or after it was done. `watch` is called before and after.
    """

    def __init__(self, store: SharedStore, random: Random, watch: Callable[[], Awaitable[None]]) -> None:
        self._store, self._random, self._watch = store, random, watch
        self.faulty = 0.0
        #: Which calls are carried out, and seem to have failed.
        self.unheard: Callable[[str, tuple[Any, ...]], bool] = lambda _name, _args: False
        #: Which calls fail before anything happened.
        self.refused: Callable[[str], bool] = lambda _name: False
        self.cut = False

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method = getattr(self._store, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            if name in ("append", "admit", "claim"):
                await asyncio.sleep(self._random.choice([0, 0, 0.001, 0.05]))
            await self._watch()
            self._check()
            fault = self._random.random() < self.faulty
            if self.refused(name) or (fault and self._random.random() < 0.6):
                self._fail()
            result = await method(*args, **kwargs)
            await self._watch()
            if fault or self.unheard(name, args):
                self._fail()  # It is done, and nobody will know.
            return result

        return call

    def _fail(self) -> None:
        raise StorageUnavailable

    def _check(self) -> None:
        if self.cut:
            raise StorageUnavailable("The server is dead.")
