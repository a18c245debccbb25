from pathlib import Path

import pytest

from budflow.services.ports import Store
from budflow.storage.memory.store import MemoryStore
from budflow.storage.open import open_store
from budflow.storage.postgres.store import PostgresStore
from budflow.storage.sqlite.store import SqliteStore


async def test_without_a_url_the_store_is_a_file_in_the_data_directory(tmp_path: Path) -> None:
    store = await open_store(None, tmp_path / "data")

    assert isinstance(store, SqliteStore)
    assert (tmp_path / "data" / "budflow.db").exists()
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    await store.close()


@pytest.mark.postgres
async def test_a_url_names_the_database(postgres_url: str, tmp_path: Path) -> None:
    store = await open_store(postgres_url, tmp_path / "data")

    assert isinstance(store, PostgresStore)
    await store.close()


def meets_the_port(memory: MemoryStore, sqlite: SqliteStore, postgres: PostgresStore) -> tuple[Store, Store, Store]:
    """Checked by mypy, never called: every adapter has the shape of the port."""
    return memory, sqlite, postgres
