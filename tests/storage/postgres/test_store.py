import asyncio
from collections.abc import AsyncIterator
from threading import Thread

import asyncpg
import pytest
from sqlalchemy import Connection, text

from budflow.execution.records import JournalWrite
from budflow.storage.errors import StorageUnavailable, TextRefused
from budflow.storage.postgres import pool
from budflow.storage.postgres.pool import DatabaseUrlRefused
from budflow.storage.postgres.store import PostgresStore
from tests.servers import PostgresServer, new_database
from tests.storage.journals import event, queued, row_of, running, version as version_of, workflow
from tests.until import until

pytestmark = pytest.mark.postgres

#: It waits until they are gone; the lock's holder stays.
CUT = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND query NOT LIKE 'LOCK%'
"""
#: A row of `noted` is looked at when its transaction commits, and waits there for whoever holds `gate`.
HELD_AT_COMMIT = """
CREATE TABLE noted (id int);
CREATE TABLE gate (id int);
CREATE FUNCTION pass_gate() RETURNS trigger AS 'BEGIN PERFORM * FROM gate; RETURN NULL; END' LANGUAGE plpgsql;
CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON noted
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION pass_gate();
"""
BLOCKED = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@pytest.fixture
async def store(postgres_url: str) -> AsyncIterator[PostgresStore]:
    new = await PostgresStore.open(postgres_url)
    yield new
    await new.close()


@pytest.fixture
async def beside(postgres_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A session of its own, beside the store's."""
    conn = await asyncpg.connect(postgres_url)
    yield conn
    await conn.close()


def cut_unseen(url: str) -> None:
    """Cut the store's connections while the event loop stands still, so that the driver cannot have noticed."""

    async def cut() -> None:
        conn = await asyncpg.connect(url)
        assert await conn.fetch(CUT)
        await conn.close()

    thread = Thread(target=lambda: asyncio.run(cut()))
    thread.start()
    thread.join()


async def test_both_forms_of_the_url_are_taken(postgres_url: str) -> None:
    for url in (
        postgres_url,
        postgres_url.replace("postgresql:", "postgresql+asyncpg:"),
        f"{postgres_url}?sslmode=disable",
    ):
        await (await PostgresStore.open(url)).close()


@pytest.mark.parametrize("url", ["mysql://u:s3cret@h/db", "not a url s3cret", "postgresql://u:s3cret@h:port/db", ""])
async def test_another_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(DatabaseUrlRefused) as refused:
        await PostgresStore.open(url)

    assert "s3cret" not in f"{refused.value} {refused.value.details} {refused.value.__cause__} {refused.value.hint}"


@pytest.mark.parametrize("url", ["postgresql://u:s3cret@127.0.0.1:1/db", "postgresql://u:s3cret@no.invalid/db"])
async def test_a_server_that_is_not_there_is_told_without_the_password(url: str) -> None:
    with pytest.raises(StorageUnavailable) as refused:
        await PostgresStore.open(url)

    assert refused.value.http_status == 503
    assert "s3cret" not in f"{refused.value} {refused.value.details} {refused.value.__cause__!r}"


async def test_a_database_that_is_not_there_is_told(postgres_server: PostgresServer) -> None:
    with pytest.raises(StorageUnavailable, match="InvalidCatalogName"):
        await PostgresStore.open(postgres_server.url("none_such"))


async def test_a_restart_of_the_server_is_survived(own_postgres: PostgresServer) -> None:
    store = await PostgresStore.open(await new_database(own_postgres))
    claims = [await running(store) for _ in range(20)]
    own_postgres.pause()

    down = await asyncio.gather(
        *(store.append(JournalWrite(claim, (event(1),))) for claim in claims), return_exceptions=True
    )
    with pytest.raises(StorageUnavailable):
        await store.get_execution("default", claims[0].execution_id)
    assert {type(result) for result in down} == {StorageUnavailable}

    own_postgres.resume()
    await asyncio.gather(*(store.append(JournalWrite(claim, (event(1),))) for claim in claims))
    assert len(await store.read_events("default", claims[0].execution_id)) == 2
    await store.close()


async def test_text_that_postgres_cannot_keep_fails_alone(postgres_url: str) -> None:
    store = await PostgresStore.open(postgres_url)
    claims = [await running(store) for _ in range(3)]

    results = await asyncio.gather(
        *(store.append(JournalWrite(claim, (event(1),))) for claim in claims),
        queued(store, workflow_id="wf_\x00"),
        return_exceptions=True,
    )

    assert [type(result) for result in results] == [type(None)] * 3 + [TextRefused]
    await store.close()


async def test_two_servers_append_side_by_side(postgres_url: str) -> None:
    stores = [await PostgresStore.open(postgres_url) for _ in range(2)]
    claims = [await running(stores[0]) for _ in range(20)]

    async def append(store: PostgresStore, number: int) -> None:
        for seq in range(1, 20):
            await store.append(JournalWrite(claims[number], (event(seq),)))

    await asyncio.gather(*(append(stores[number % 2], number) for number in range(20)))

    for claim in claims:
        assert len(await stores[0].read_events("default", claim.execution_id)) == 20
    for store in stores:
        await store.close()


async def test_a_read_needs_no_idle_connection_that_was_cut(store: PostgresStore, beside: asyncpg.Connection) -> None:
    new = await queued(store)

    assert await beside.fetch(CUT)

    assert (await row_of(store, new.id)).id == new.id


async def test_reads_are_repeated_when_the_driver_has_not_noticed_the_cut(
    store: PostgresStore, postgres_url: str
) -> None:
    new = await queued(store)
    await asyncio.gather(*(row_of(store, new.id) for _ in range(6)))  # So many connections are in the pool now.

    cut_unseen(postgres_url)

    rows = await asyncio.gather(*(row_of(store, new.id) for _ in range(6)))
    assert [row.id for row in rows] == [new.id] * 6


async def test_a_read_that_is_cut_in_the_middle_is_repeated(
    store: PostgresStore, beside: asyncpg.Connection, postgres_url: str
) -> None:
    new = await queued(store)
    async with beside.transaction():
        await beside.execute("LOCK TABLE executions")
        reading = asyncio.create_task(row_of(store, new.id))
        await until_blocked(postgres_url)
        cut_unseen(postgres_url)
        await until_blocked(postgres_url)

    assert (await reading).id == new.id


async def test_a_read_whose_connections_are_cut_again_and_again_gives_up(
    store: PostgresStore, beside: asyncpg.Connection, postgres_url: str
) -> None:
    async with beside.transaction():
        await beside.execute("LOCK TABLE executions")
        reading = asyncio.create_task(store.get_execution("default", "exe_a"))
        for _ in range(2):
            await until_blocked(postgres_url)
            cut_unseen(postgres_url)

        with pytest.raises(StorageUnavailable):
            await reading


async def test_a_write_that_is_cut_before_its_commit_is_repeated(
    store: PostgresStore, beside: asyncpg.Connection, postgres_url: str
) -> None:
    new = workflow()
    async with beside.transaction():
        await beside.execute("LOCK TABLE workflows")
        writing = asyncio.create_task(store.add_workflow(new, version_of(new)))
        await until_blocked(postgres_url)
        cut_unseen(postgres_url)
        await until_blocked(postgres_url)

    await writing
    assert await store.get_workflow("default", new.id) == new


async def test_a_write_is_not_repeated_when_its_commit_was_cut(
    store: PostgresStore, beside: asyncpg.Connection, postgres_url: str
) -> None:
    await beside.execute(HELD_AT_COMMIT)
    calls = 0

    def note(conn: Connection) -> None:
        nonlocal calls
        calls += 1
        conn.execute(text("INSERT INTO noted VALUES (1)"))

    async with beside.transaction():
        await beside.execute("LOCK TABLE gate")
        writing = asyncio.create_task(store._write(note))
        await until_blocked(postgres_url)
        cut_unseen(postgres_url)

        with pytest.raises(StorageUnavailable):
            await writing
    assert calls == 1


async def until_blocked(url: str) -> None:
    """Wait until a session of this database waits for a lock."""
    conn = await asyncpg.connect(url)

    async def blocked() -> bool:
        return bool(await conn.fetchval(BLOCKED))

    await until(blocked)
    await conn.close()


async def test_a_server_that_is_frozen_inside_a_transaction_does_not_hold_up_the_others(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "IDLE_SECONDS", 0.2)
    frozen, other = await PostgresStore.open(postgres_url), await PostgresStore.open(postgres_url)
    stuck = await frozen._engine.connect()
    await stuck.execute(text("LOCK TABLE leaders"))  # And then it does nothing more.

    async with asyncio.timeout(10):
        assert await other.acquire_lead("main", "r2", seconds=5) == 1

    await stuck.invalidate()
    assert await frozen.current_lead("main") is not None  # It goes on with another connection.
    for store in (frozen, other):
        await store.close()
