"""Looking at databases without changing them, for `budflow doctor`."""

import sqlite3
import tempfile
from pathlib import Path

from budflow.storage.errors import StorageUnavailable

CONNECT_SECONDS = 5.0


def probe_sqlite(directory: Path) -> tuple[str, str]:
    """SQLite's version, and the journal mode that a new database in `directory` gets when WAL is asked for.

    It is another than `wal` where the file system cannot share memory, as network file systems cannot.
    Raises StorageUnavailable.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="doctor-", dir=directory) as probing:
            connection = sqlite3.connect(Path(probing) / "probe.db", timeout=CONNECT_SECONDS)
            try:
                mode = str(connection.execute("PRAGMA journal_mode=WAL").fetchone()[0])
                connection.execute("CREATE TABLE probe (value INTEGER)")
                connection.commit()
            finally:
                connection.close()
    except (sqlite3.Error, OSError) as error:
        raise StorageUnavailable(f"SQLite cannot write in {directory}: {error}.") from error
    return sqlite3.sqlite_version, mode


async def probe_postgres(url: str) -> str:
    """The version of the server behind the URL. Raises DatabaseUrlRefused, StorageUnavailable."""
    # The driver and SQLAlchemy's side of it; a laptop never needs them.
    from budflow.storage.postgres.probe import server_version  # noqa: PLC0415 - see the line above

    return await server_version(url, CONNECT_SECONDS)
