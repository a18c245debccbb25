"""A store in memory that several simulated servers share, each over a connection that is slow, fails or is cut."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

from budflow.execution.ports import Lease
from budflow.execution.records import AdmissionKey, JournalWrite
from budflow.model.credential import CredentialUse
from budflow.model.event import StoredEvent
from budflow.model.execution import TERMINAL, Claim, ClaimLost, Execution, Limit, LimitReached, RunnerKind
from budflow.model.identity import utc_now
from budflow.storage.errors import StorageUnavailable
from budflow.storage.memory.claims import MemoryClaims
from budflow.storage.memory.store import MemoryStore
from budflow.storage.rows import to_micros

ACTIVE = ("running", "waiting")
#: How much priority waiting gives at most: a minute gives one, and no simulation has so many.
AGED_MAX = 40


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
    """What all servers of a simulation share. It knows who lives, and watches that limits and priorities are kept.

    `displaced` are the executions that had to make room for another one; `order` is that in which events were written.
    """

    def __init__(self) -> None:
        super().__init__()
        self._claims = LeasedClaims(self._tables)
        self._claims.leases = self.leases = {}
        self.refused = 0  # Writes of those who had lost their claim.
        self.displaced: set[str] = set()
        self.order: dict[tuple[str, int], int] = {}
        self.faults: list[str] = []

    async def append(self, write: JournalWrite) -> None:
        try:
            await super().append(write)
        except ClaimLost:
            self.refused += 1
            raise
        for event in write.events:
            self.order[write.claim.execution_id, event.seq] = len(self.order)
        self._watch_limits()

    async def admit(
        self,
        execution: Execution,
        events: Sequence[StoredEvent],
        trigger_key: AdmissionKey | None = None,
        uses: tuple[CredentialUse, ...] = (),
    ) -> None:
        limit, before = execution.limit, self._group(execution.limit)
        try:
            await super().admit(execution, events, trigger_key, uses)
        except LimitReached:
            self._expect(limit is not None and limit.policy == "drop", "dropped against the policy")
            self._expect(limit is not None and len(before) >= limit.running_max, "dropped though there was room")
            raise
        if limit is None:
            return
        self._expect(limit.policy != "drop" or len(before) < limit.running_max, "not dropped though there was no room")
        after = self._tables.executions
        hit = [row.id for row in before if (after[row.id].cancelling or after[row.id].status in TERMINAL)]
        staying = [row.id for row in before if not row.cancelling]
        wanted = staying[: max(0, len(staying) + 1 - limit.running_max)] if limit.policy == "cancel_oldest" else []
        self._expect([one for one in hit if one in staying] == wanted, "not the oldest made room")
        self.displaced.update(wanted)

    async def claim(self, runner: str, *, limit: int, suspects: int = 1) -> list[tuple[Claim, Execution]]:
        due = [row for row in self._tables.executions.values() if _is_due(row)]
        claims = await super().claim(runner, limit=limit, suspects=suspects)
        self._watch_limits()
        taken = {claim.execution_id for claim, _ in claims}
        left = [row for row in due if row.id not in taken and self._has_room(row)]
        for row in due:
            if row.id in taken:
                late = [one.id for one in left if one.priority > row.priority + AGED_MAX]
                self._expect(not late, f"{late} should have gone before {row}")
        return claims

    def _group(self, limit: Limit | None) -> list[Execution]:
        """Those that count under a limit, the oldest first."""
        rows = self._tables.executions.values()
        key = None if limit is None else limit.key
        live = [row for row in rows if row.limit is not None and row.limit.key == key and row.status not in TERMINAL]
        return sorted(live, key=lambda row: (row.created_at, row.id))

    def _has_room(self, row: Execution) -> bool:
        if row.limit is None or row.status == "waiting" or row.cancelling:
            return True
        return sum(one.status in ACTIVE for one in self._group(row.limit)) < row.limit.running_max

    def _watch_limits(self) -> None:
        """Never more at work than the limit says. One that is being cancelled may tidy up beside others."""
        rows = self._tables.executions.values()
        active = [row for row in rows if row.limit is not None and row.status in ACTIVE and not row.cancelling]
        counts = Counter(row.limit for row in active)
        for limit, count in counts.items():
            self._expect(limit is None or count <= limit.running_max, f"{count} at once under {limit}")

    def _expect(self, held: bool, fault: str) -> None:
        # Told later: raised here, the engine would take it for a fault of the store.
        if not held:
            self.faults.append(fault)

    async def open_lease(
        self, runner: str, *, seconds: float, kind: RunnerKind = "main", details: Mapping[str, Any] | None = None
    ) -> Lease:
        lease = SimulatedLease(self.leases, runner, seconds)
        lease.beat()
        return lease

    async def count_runners(self) -> int:
        return sum(until > utc_now() for until in self.leases.values())

    async def rows(self) -> list[Execution]:
        """Every execution, the oldest first."""
        return [*reversed((await self.list_executions("default", limit=100_000)).items)]


def _is_due(row: Execution) -> bool:
    """Whether a claim might take it; those that are suspected of killing their runners have their turns apart."""
    due = row.status == "waiting" and row.wake_at is not None and row.wake_at <= utc_now()
    return (row.status == "queued" or due) and not row.takeovers


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
