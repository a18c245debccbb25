"""Claims and leases in this process's memory, by the rules that the databases' follow too."""

import os
import socket
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from budflow.model.event import NO_PROGRESS
from budflow.model.execution import Claim, Execution, RunnerKind
from budflow.model.identity import utc_now
from budflow.services.ports import RunnerRow
from budflow.storage.fairness import SUSPECT_TAKEOVERS, Candidate, Turns, takeover
from budflow.storage.memory.tables import Tables
from budflow.storage.rows import to_micros


class MemoryClaims:
    """Who holds which of the store's executions; it changes the rows of the store's tables."""

    def __init__(self, tables: Tables) -> None:
        self._executions = tables.executions
        self._journals = tables.journals
        self._turns = Turns()
        self._runners: dict[str, RunnerRow] = {}
        # By execution: the last seq that was progress at the last takeover, and the end of the back-off after it.
        self._taken: dict[str, tuple[int, int | None]] = {}

    def claim(self, runner: str, limit: int, suspects: int) -> list[tuple[Claim, Execution]]:
        """Lease up to `limit` executions to `runner`."""
        now = to_micros(utc_now())
        rows = self._executions.values()
        active = Counter(row.limit.key for row in rows if row.limit and row.status in ("running", "waiting"))
        chosen = self._turns.choose(self._due(now), limit=limit, suspects=suspects, now=now, active=active)
        self._turns.serve(chosen, now)
        return [self._lease(runner, self._executions[candidate.id]) for candidate in chosen]

    def claim_queued(self, runner: str, execution_id: str) -> tuple[Claim, Execution] | None:
        """Lease one that nobody had yet and no limit holds back."""
        row = self._executions.get(execution_id)
        free = row is not None and (row.status, row.token, row.limit, row.cancelling) == ("queued", 0, None, False)
        return self._lease(runner, row) if row is not None and free else None

    def reclaim(self, runner: str, execution_id: str) -> tuple[Claim, Execution] | None:
        """Lease what `runner` holds already anew."""
        row = self._executions.get(execution_id)
        return self._lease(runner, row) if row is not None and _is_held(row, runner) else None

    def open_lease(self, runner: str, kind: RunnerKind, details: Mapping[str, Any] | None) -> "MemoryLease":
        """Become known as a living runner."""
        host, pid = socket.gethostname(), os.getpid()
        self._runners[runner] = RunnerRow(runner, host, pid, utc_now(), None, 0, 0, kind, {**(details or {})})
        return MemoryLease(self._runners, runner)

    def release_dead(self, runner: str) -> list[str]:
        """Give back what other runners hold: the memory has one user at a time, so they are gone."""
        now = to_micros(utc_now())
        dead = self._runners.keys() - {runner}
        for one in dead:
            del self._runners[one]
        for row in list(self._executions.values()):
            if row.status == "running" and row.runner is not None and row.runner != runner:
                dead.add(row.runner)
                self._give_back(row, now)
        return sorted(dead)

    def list_runners(self) -> list[RunnerRow]:
        """Every runner that lives, which is in this process."""
        held = [row for row in self._executions.values() if row.status == "running"]
        running = Counter(row.runner for row in held)
        taken = Counter(row.runner for row in held if row.takeovers)
        return [replace(row, running=running[one], taken_over=taken[one]) for one, row in sorted(self._runners.items())]

    def next_wake(self) -> datetime | None:
        """The earliest time at which something that waits may be claimed."""
        waiting = (row.wake_at for row in self._executions.values() if row.status == "waiting")
        return min((at for at in waiting if at is not None), default=None)

    def _due(self, now: int) -> Iterator[Candidate]:
        for row in self._executions.values():
            queued, wake = row.status == "queued", 0 if row.wake_at is None else to_micros(row.wake_at)
            if not queued and (row.status != "waiting" or row.wake_at is None or wake > now):
                continue
            suspect = row.takeovers >= SUSPECT_TAKEOVERS
            _, not_before = self._taken.get(row.id, (-1, None))
            if suspect and not_before is not None and not_before > now:
                continue
            yield Candidate(
                id=row.id,
                project_id=row.project_id,
                workflow_id=row.workflow_id,
                priority=row.priority,
                since=wake if wake > 0 else to_micros(row.created_at),
                gate=row.limit.key if queued and row.limit is not None and not row.cancelling else "",
                limit_max=None if row.limit is None else row.limit.running_max,
                suspect=suspect,
            )

    def _lease(self, runner: str, row: Execution) -> tuple[Claim, Execution]:
        leased = replace(row, status="running", runner=runner, token=row.token + 1, waiting=None, wake_at=None)
        self._executions[row.id] = leased
        return Claim(leased.id, runner, leased.token), leased

    def _give_back(self, row: Execution, now: int) -> None:
        progress, _ = self._taken.get(row.id, (-1, None))
        last = max((event.seq for event in self._journals[row.id] if event.type not in NO_PROGRESS), default=-1)
        takeovers, not_before = takeover(row.takeovers, progress, last, now)
        self._taken[row.id] = (last, not_before)
        self._executions[row.id] = replace(row, status="queued", runner=None, token=row.token + 1, takeovers=takeovers)


class MemoryLease:
    """Meets budflow.execution.ports.Lease. Nobody else can own the memory, so it needs no renewal and is never lost."""

    lost = False

    def __init__(self, runners: dict[str, RunnerRow], runner: str) -> None:
        self._runners = runners
        self._runner = runner

    def beat(self) -> None:
        """Nothing runs out."""

    async def close(self) -> None:
        self._runners.pop(self._runner, None)


def _is_held(row: Execution, runner: str) -> bool:
    return row.status == "running" and row.runner == runner
