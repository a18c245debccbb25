import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection

from budflow.execution.records import JournalWrite
from budflow.storage.errors import StorageUnavailable
from budflow.storage.sqlite.store import SqliteStore
from tests.storage.journals import event, running


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    new = await SqliteStore.open(tmp_path / "budflow.db")
    yield new
    await new.close()


async def set_pages(store: SqliteStore, maximum: int) -> None:
    """Make the disk as small as the pages given (or the pages in use, where they are more)."""
    await store._write(lambda conn: conn.exec_driver_sql(f"PRAGMA max_page_count = {maximum}").scalar())


def modes(directory: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o777 for path in directory.iterdir()}


async def test_a_full_disk_is_told_and_the_writer_goes_on(store: SqliteStore) -> None:
    claim, other = await running(store), await running(store)
    await set_pages(store, 1)
    large = JournalWrite(claim, (event(1, payload=os.urandom(1_000_000)),), status="waiting")

    with pytest.raises(StorageUnavailable, match="full") as refused:
        await store.append(large)
    assert refused.value.http_status == 503
    row = await store.get_execution("default", claim.execution_id)
    assert row is not None
    assert row.status == "running"

    await set_pages(store, 1_000_000)
    await store.append(large)
    await store.append(JournalWrite(other, (event(1),)))
    assert len(await store.read_events("default", claim.execution_id)) == 2


async def test_what_still_fits_on_a_full_disk_is_written_beside_what_does_not(store: SqliteStore) -> None:
    claim, other = await running(store), await running(store)
    await set_pages(store, 1)
    large = JournalWrite(claim, (event(1, payload=os.urandom(1_000_000)),))
    small = JournalWrite(other, (event(1, payload=b"{}"),))

    results = await asyncio.gather(store.append(large), store.append(small), return_exceptions=True)

    assert isinstance(results[0], StorageUnavailable)
    assert results[1] is None
    assert len(await store.read_events("default", other.execution_id)) == 2


async def test_a_commit_that_fails_fails_every_operation_of_its_group(store: SqliteStore) -> None:
    claim, other = await running(store), await running(store)

    def doom(conn: Connection) -> None:
        # A deferred constraint is checked at the commit, as a full disk may be.
        conn.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
        conn.exec_driver_sql("INSERT INTO workflows VALUES ('wf_x', 'nowhere', 'x', 'x', 1, NULL, 0, 0)")

    results = await asyncio.gather(
        store._write(lambda conn: conn.exec_driver_sql("SELECT 1").scalar()),
        store.append(JournalWrite(claim, (event(1),))),
        store._write(doom),
        store.append(JournalWrite(other, (event(1),))),
        return_exceptions=True,
    )

    assert isinstance(results[2], StorageUnavailable)
    for written, result in ((claim, results[1]), (other, results[3])):
        stored = len(await store.read_events("default", written.execution_id))
        assert stored == (1 if isinstance(result, Exception) else 2)
    await store.append(JournalWrite(await running(store), (event(1),)))


async def test_a_defect_in_an_operation_reaches_its_caller_and_the_writer_goes_on(store: SqliteStore) -> None:
    def broken(conn: Connection) -> None:
        conn.exec_driver_sql("INSERT INTO projects VALUES ('half')")
        raise ZeroDivisionError

    claims = [await running(store) for _ in range(20)]
    results = await asyncio.gather(
        *(store.append(JournalWrite(claim, (event(1),))) for claim in claims[:10]),
        store._write(broken),
        *(store.append(JournalWrite(claim, (event(1),))) for claim in claims[10:]),
        return_exceptions=True,
    )

    assert [type(result) for result in results if result is not None] == [ZeroDivisionError]
    for claim in claims:
        assert len(await store.read_events("default", claim.execution_id)) == 2
    assert await store._write(lambda conn: conn.exec_driver_sql("SELECT count(*) FROM projects").scalar()) == 1


async def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "closed.db")
    claim = await running(store)
    await store.close()

    with pytest.raises(StorageUnavailable, match="closed"):
        await store.append(JournalWrite(claim, (event(1),)))
    with pytest.raises(StorageUnavailable, match="closed"):
        await store.count_queued()
    await store.close()


async def test_the_connection_is_as_durable_as_promised(store: SqliteStore) -> None:
    def pragmas(conn: Connection) -> list[object]:
        return [
            conn.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous", "foreign_keys")
        ]

    assert await store._write(pragmas) == ["wal", 2, 1]


async def test_readers_cannot_write(store: SqliteStore) -> None:
    with pytest.raises(StorageUnavailable, match="readonly"):
        await store._read(lambda conn: conn.exec_driver_sql("DELETE FROM projects"))


async def test_only_its_owner_may_read_the_file(store: SqliteStore, tmp_path: Path) -> None:
    await running(store)

    assert modes(tmp_path) == {"budflow.db": 0o600, "budflow.db-wal": 0o600, "budflow.db-shm": 0o600}


async def test_a_path_that_cannot_be_a_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("This is not a database, but it is long enough to be read as one." * 100)

    for path in (tmp_path, tmp_path / "missing" / "budflow.db", tmp_path / "text.db"):
        with pytest.raises(StorageUnavailable):
            await SqliteStore.open(path)


async def test_a_path_may_hold_any_characters(tmp_path: Path) -> None:
    path = tmp_path / "a b?c=d%20#ü&.db"
    store = await SqliteStore.open(path)
    claim = await running(store)

    assert len(await store.read_events("default", claim.execution_id)) == 1
    await store.close()
    assert path.exists()
