"""Ten claimers in two processes empty a queue in PostgreSQL, each with a store of its own, as ten runners on as many
machines would; here they share two cores with the database.

"8 at a look" is what a runner that has others beside it asks for at first. While they claim, the sessions of the
database are looked at every 5 ms: how many of them wait for a lock that another one holds.
"""

import asyncio
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg
import orjson

from benchmarks.engine import open_postgres
from benchmarks.figure import Figure, percentile, typical
from budflow.execution.pace import BATCH_MIN
from budflow.storage.postgres.store import PostgresStore
from tests.servers import PostgresServer, new_database
from tests.storage.journals import queued

TITLE = "Claims"
PROCESSES, CLAIMERS_EACH = 2, 5
QUEUED = 8_000
ROUNDS = 3
LOOK_SECONDS = 0.005
GOAL = 2_000
WAITING_GOAL = 0.05

_SESSIONS = """
SELECT count(*) FILTER (WHERE state = 'active') AS active,
    count(*) FILTER (WHERE state = 'active' AND wait_event_type = 'Lock') AS locked
FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


@dataclass(frozen=True, slots=True)
class Round:
    """A queue that was emptied. `waiting` is the share of sessions at work that waited for a lock."""

    per_second: float
    look_seconds: Sequence[float]
    waiting: float


async def measure() -> list[Figure]:
    """A flood of one workflow, and many workflows; small looks, and larger ones."""
    figures: list[Figure] = []
    async with open_postgres() as server:
        for workflows, limit in ((1, BATCH_MIN), (100, BATCH_MIN), (1, 64), (100, 64)):
            rounds = [await _round(server, workflows, limit) for _ in range(ROUNDS)]
            figures.extend(_figures(f"{workflows} workflow{'s' * (workflows > 1)}, {limit} at a look", rounds))
    return figures


def _figures(what: str, rounds: Sequence[Round]) -> list[Figure]:
    rates = sorted(one.per_second for one in rounds)
    slow = typical([percentile(one.look_seconds, 0.99) for one in rounds])
    waiting = typical([one.waiting for one in rounds])
    rate = f"{typical(rates):,.0f}/s ({rates[0]:,.0f} to {rates[-1]:,.0f})"
    return [
        Figure(what, rate, f"≥ {GOAL:,}/s", typical(rates) >= GOAL, f"p99 of a look {slow * 1e3:.0f} ms"),
        Figure(
            f"{what}: sessions at work that wait for a lock",
            f"{waiting:.1%}",
            f"≤ {WAITING_GOAL:.0%}",
            waiting <= WAITING_GOAL,
        ),
    ]


async def _round(server: PostgresServer, workflows: int, limit: int) -> Round:
    url = await new_database(server)
    await _fill(url, workflows)
    claimers = [await _claimers(url, limit) for _ in range(PROCESSES)]
    seen: Counter[str] = Counter()
    watching = asyncio.create_task(_watch(url, seen))
    began = time.perf_counter()
    said = await asyncio.gather(*(one.communicate(b"go\n") for one in claimers))
    spent = time.perf_counter() - began
    watching.cancel()
    looks = [look for out, _ in said for look in orjson.loads(out)]
    assert sum(claimed for claimed, _ in looks) == QUEUED
    return Round(
        QUEUED / spent,
        [seconds for claimed, seconds in looks if claimed],
        seen["locked"] / max(1, seen["active"]),
    )


async def _fill(url: str, workflows: int) -> None:
    store = await PostgresStore.open(url)
    try:
        await asyncio.gather(*(queued(store, workflow_id=f"wf_{number % workflows}") for number in range(QUEUED)))
    finally:
        await store.close()


async def _claimers(url: str, limit: int) -> Process:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.claimer", url, str(CLAIMERS_EACH), str(limit)),
        stdin=PIPE,
        stdout=PIPE,
        limit=2**24,
    )
    assert process.stdout is not None
    await process.stdout.readline()  # It is ready.
    return process


async def _watch(url: str, seen: Counter[str]) -> None:
    connection = await asyncpg.connect(url)
    try:
        while True:
            row = await connection.fetchrow(_SESSIONS)
            seen.update(active=row["active"], locked=row["locked"])
            await asyncio.sleep(LOOK_SECONDS)
    finally:
        await connection.close()
