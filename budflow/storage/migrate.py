"""Bring a database to this release's schema, under a lock, and refuse a newer one.

Alembic takes longer to import than everything else here, so an up-to-date database is recognised without it.
"""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, inspect

from budflow.errors import BudflowError
from budflow.model.identity import utc_now

_ADVISORY_LOCK = 0x627564666C6F77  # "budflow" in ASCII


@dataclass(frozen=True, slots=True)
class Scripts:
    """A directory of Alembic scripts, the newest of them, and all that came before it."""

    directory: Path
    head: str
    older: tuple[str, ...] = ()


SCRIPTS = Scripts(Path(__file__).parent / "migrations", head="0005", older=("0001", "0002", "0003", "0004"))


class SchemaNewer(BudflowError):
    """The database was written by a newer release of BudFlow."""

    code = "storage.schema_newer"
    http_status = 500
    hint = "Use that release again, or restore the backup that was made before it migrated the database."


def current_revision(conn: Connection) -> str | None:
    """The revision of the database; None when it is empty."""
    if not inspect(conn).has_table("alembic_version"):
        return None
    revision: str | None = conn.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return revision


def migrate_sqlite(conn: Connection, path: Path, scripts: Scripts = SCRIPTS) -> Path | None:
    """Migrate the file at `path`; `conn` is in autocommit. Gives the backup's path, where one was made.

    Raises SchemaNewer.
    """
    revision = _refuse_newer(conn, scripts)
    if revision == scripts.head:
        return None
    backup = None
    if revision is not None:
        backup = path.with_name(f"{path.name}.{revision}.{utc_now():%Y%m%dT%H%M%S%f}.backup")
        conn.exec_driver_sql("VACUUM INTO ?", (str(backup),))
        backup.chmod(0o600)
    conn.exec_driver_sql("BEGIN EXCLUSIVE")
    try:
        if _refuse_newer(conn, scripts) != scripts.head:  # Another process may have been faster.
            _upgrade(conn, scripts)
    except BaseException:
        conn.exec_driver_sql("ROLLBACK")
        raise
    conn.exec_driver_sql("COMMIT")
    return backup


def migrate_postgres(conn: Connection, scripts: Scripts = SCRIPTS) -> None:
    """Migrate the database of `conn`, which is in a transaction that the caller commits. Raises SchemaNewer."""
    if _refuse_newer(conn, scripts) == scripts.head:
        return
    conn.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})")
    if _refuse_newer(conn, scripts) != scripts.head:
        _upgrade(conn, scripts)


def _refuse_newer(conn: Connection, scripts: Scripts) -> str | None:
    revision = current_revision(conn)
    if revision not in (None, scripts.head, *scripts.older):
        raise SchemaNewer(f"The database has revision {revision}, newer than {scripts.head}.", revision=revision)
    return revision


def _upgrade(conn: Connection, scripts: Scripts) -> None:
    from alembic import command  # noqa: PLC0415 - heavy, and needed only where the schema differs
    from alembic.config import Config  # noqa: PLC0415 - as above

    config = Config()
    config.set_main_option("script_location", str(scripts.directory).replace("%", "%%"))
    config.attributes["connection"] = conn
    command.upgrade(config, scripts.head)
