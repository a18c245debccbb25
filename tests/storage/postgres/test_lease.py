import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from budflow.execution.records import JournalWrite
from budflow.model.execution import ClaimLost
from budflow.storage.errors import StorageUnavailable
from budflow.storage.postgres import lease as lease_module
from budflow.storage.postgres.store import PostgresStore
from tests.servers import PostgresServer, new_database
from tests.storage.journals import event, queued, running
from tests.until import until

pytestmark = pytest.mark.postgres

RUNNER = """
import asyncio, sys
from budflow.storage.postgres.store import PostgresStore

async def run():
    store = await PostgresStore.open(sys.argv[1])
    lease = await store.open_lease("other", seconds=float(sys.argv[2]))
    await store.claim("other", limit=10)
    print("claimed", flush=True)
    while not lease.lost:
        lease.beat()
        await asyncio.sleep(0.01)
    print("lost", flush=True)

asyncio.run(run())
"""

Sql = Callable[[str], Awaitable[Any]]

#: The server is shared with other tests, whose runners must not lose theirs.
OWN_LOCKS = (
    "FROM pg_locks JOIN pg_database d ON d.oid = database WHERE locktype = 'advisory' AND datname = current_database()"
)


@pytest.fixture
async def store(postgres_url: str) -> AsyncIterator[PostgresStore]:
    new = await PostgresStore.open(postgres_url)
    yield new
    await new.close()


@pytest.fixture
async def sql(postgres_url: str) -> AsyncIterator[Sql]:
    """Runs a statement behind the store's back and gives its first value."""
    conn = await asyncpg.connect(postgres_url)
    yield conn.fetchval
    await conn.close()


@contextlib.asynccontextmanager
async def other_runner(url: str, seconds: float) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that holds all there is to claim, under a lease of so many seconds."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", RUNNER, url, str(seconds), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"claimed\n"
    yield process
    if process.returncode is None:
        process.kill()
    await process.wait()


async def status_of(store: PostgresStore, execution_id: str) -> str:
    row = await store.get_execution("default", execution_id)
    assert row is not None
    return row.status


async def test_a_living_runner_keeps_its_executions(store: PostgresStore) -> None:
    lease = await store.open_lease("r1", seconds=10)
    claim = await running(store, "r1")

    assert await store.release_dead("r2") == []

    await store.append(JournalWrite(claim, (event(1),)))
    await lease.close()


async def test_a_process_that_dies_is_known_dead_at_once(store: PostgresStore, postgres_url: str, sql: Sql) -> None:
    new = await queued(store)
    async with other_runner(postgres_url, seconds=3600) as other:
        assert await store.release_dead("r1") == []

        other.kill()

        async def released() -> bool:
            return await store.release_dead("r1") == ["other"]

        await until(released, seconds=3)
    assert await status_of(store, new.id) == "queued"
    assert await sql("SELECT count(*) FROM runners") == 0


async def test_a_frozen_process_loses_its_lease_and_learns_of_it(store: PostgresStore, postgres_url: str) -> None:
    new = await queued(store)
    async with other_runner(postgres_url, seconds=0.5) as other:
        os.kill(other.pid, signal.SIGSTOP)

        async def released() -> bool:
            return await store.release_dead("r1") == ["other"]

        await until(released)
        assert await status_of(store, new.id) == "queued"
        os.kill(other.pid, signal.SIGCONT)

        assert other.stdout is not None
        async with asyncio.timeout(10):
            assert await other.stdout.readline() == b"lost\n"


async def test_a_computation_that_blocks_the_loop_costs_no_lease(store: PostgresStore) -> None:
    lease = await store.open_lease("r1", seconds=0.5)
    claim = await running(store, "r1")

    time.sleep(1.5)  # noqa: ASYNC251 - it is the subject: the loop is blocked for three times the lease

    assert await store.release_dead("r2") == []
    assert not lease.lost
    await store.append(JournalWrite(claim, (event(1),)))
    await lease.close()


async def test_a_loop_that_makes_no_progress_loses_the_lease(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = await store.open_lease("r1", seconds=0.3)
    claim = await running(store, "r1")
    monkeypatch.setattr(lease_module, "LOOP_STALLED_SECONDS", 0.1)

    async def released() -> bool:
        return await store.release_dead("r2") == ["r1"]

    await until(released)
    assert not lease.lost  # Nobody has looked yet.
    monkeypatch.undo()
    lease.beat()
    await until(lambda: lease.lost)

    with pytest.raises(ClaimLost):
        await store.append(JournalWrite(claim, (event(1),)))
    await lease.close()


async def test_a_cut_connection_is_replaced_before_anybody_notices(store: PostgresStore, sql: Sql) -> None:
    lease = await store.open_lease("r1", seconds=3600)
    key = await sql("SELECT lock_key FROM runners")

    await sql(f"SELECT pg_terminate_backend(pid) {OWN_LOCKS}")

    async def again() -> bool:
        return bool(await sql("SELECT lock_key FROM runners") != key)

    await until(again)
    assert await store.release_dead("r2") == []
    assert not lease.lost
    await lease.close()


async def test_a_runner_that_was_released_is_registered_again_for_new_work(store: PostgresStore, sql: Sql) -> None:
    lease = await store.open_lease("r1", seconds=0.5)
    stale = await running(store, "r1")
    await sql("DELETE FROM runners")
    assert await store.release_dead("r2") == ["r1"]

    async def registered() -> bool:
        return bool(await sql("SELECT count(*) FROM runners") == 1)

    await until(registered)
    assert lease.lost
    [(fresh, _)] = await store.claim("r1", limit=1)
    assert await store.release_dead("r2") == []
    with pytest.raises(ClaimLost):
        await store.append(JournalWrite(stale, (event(1),)))
    await store.append(JournalWrite(fresh, (event(1),)))
    await lease.close()


async def test_a_closed_lease_leaves_neither_row_nor_session(store: PostgresStore, sql: Sql) -> None:
    lease = await store.open_lease("r1", seconds=10)
    await lease.close()

    assert await sql("SELECT count(*) FROM runners") == 0

    async def gone() -> bool:
        return bool(await sql(f"SELECT count(*) {OWN_LOCKS}") == 0)

    await until(gone)


async def test_two_sweepers_give_an_execution_back_once(postgres_url: str, store: PostgresStore) -> None:
    second = await PostgresStore.open(postgres_url)
    claims = [await running(store, "dead") for _ in range(50)]

    found = await asyncio.gather(*(one.release_dead(f"r{i}") for i, one in enumerate([store, second] * 4)))

    assert ["dead"] in found
    for claim in claims:
        row = await store.get_execution("default", claim.execution_id)
        assert row is not None
        assert (row.status, row.token, row.takeovers) == ("queued", claim.token + 1, 1)
    await second.close()


async def test_a_lease_that_cannot_be_opened_is_told_without_the_password(own_postgres: PostgresServer) -> None:
    url = (await new_database(own_postgres)).replace("postgres@", "postgres:s3cret@")
    store = await PostgresStore.open(url)
    own_postgres.pause()

    with pytest.raises(StorageUnavailable) as refused:
        await store.open_lease("r1", seconds=10)

    assert "s3cret" not in f"{refused.value} {refused.value.details} {refused.value.__cause__!r}"
    await store.close()


async def test_a_restart_of_the_server_costs_no_lease(own_postgres: PostgresServer) -> None:
    store = await PostgresStore.open(await new_database(own_postgres))
    lease = await store.open_lease("r1", seconds=3600)
    claim = await running(store, "r1")
    own_postgres.pause()
    own_postgres.resume()

    async def written() -> bool:
        try:
            await store.append(JournalWrite(claim, (event(1),)))
        except StorageUnavailable:
            return False
        return True

    await until(written)
    assert not lease.lost
    await lease.close()
    await store.close()
