import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from budflow.services.ports import Store
from budflow.storage.memory.store import MemoryStore
from budflow.storage.postgres.store import PostgresStore
from budflow.storage.sqlite.store import SqliteStore

OpenStore = Callable[[], Awaitable[Store]]


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str | Path:
    """Where a database that outlives its store is: a file, or a URL."""
    if request.param == "sqlite":
        return tmp_path / "budflow.db"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
async def open_again(database: str | Path) -> AsyncIterator[OpenStore]:
    """Opens one more store on the same database; closed at the end."""
    opened: list[Store] = []

    async def open_() -> Store:
        new = await (SqliteStore.open(database) if isinstance(database, Path) else PostgresStore.open(database))
        opened.append(new)
        return new

    yield open_
    for store in opened:
        await store.close()


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> OpenStore:
    """How to open a store of each adapter; not async itself, because it asks for an async fixture by name."""

    async def memory() -> Store:
        return MemoryStore()

    if request.param == "memory":
        return memory
    if request.param == "sqlite":
        return lambda: SqliteStore.open(tmp_path / "budflow.db")
    url = request.getfixturevalue("postgres_url")
    return lambda: PostgresStore.open(url)


@pytest.fixture
async def store(make_store: OpenStore) -> AsyncIterator[Store]:
    """One adapter after the other."""
    new = await make_store()
    yield new
    await new.close()


@pytest.fixture
def run_sql(database: str | Path) -> Callable[[str], Awaitable[Any]]:
    """Runs a statement behind the store's back and gives its first value."""

    async def run(statement: str) -> Any:
        if isinstance(database, Path):
            conn = sqlite3.connect(database)
            try:
                row = conn.execute(statement).fetchone()
                conn.commit()
            finally:
                conn.close()
            return row[0] if row else None
        pg = await asyncpg.connect(database)
        try:
            return await pg.fetchval(statement)
        finally:
            await pg.close()

    return run
