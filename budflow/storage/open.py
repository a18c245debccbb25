"""Which store a server uses: PostgreSQL where a URL names one, else SQLite in the data directory."""

from pathlib import Path

from budflow.services.ports import Store
from budflow.storage.owner import prepare_data_dir
from budflow.storage.sqlite.store import SqliteStore

DATABASE_FILE = "budflow.db"


async def open_store(database_url: str | None, data_dir: Path) -> Store:
    """Open the store and migrate it. Raises StorageUnavailable, SchemaNewer, DatabaseUrlRefused, DataDirRefused."""
    if database_url is None:
        return await SqliteStore.open(prepare_data_dir(data_dir) / DATABASE_FILE)
    from budflow.storage.postgres.store import PostgresStore  # noqa: PLC0415 - the driver; a laptop never needs it

    return await PostgresStore.open(database_url)
