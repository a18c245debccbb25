import asyncio
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine

from budflow.execution.records import JournalWrite
from budflow.model.execution import Execution, Parent
from budflow.storage.migrate import SCRIPTS, SchemaNewer, Scripts, migrate_postgres, migrate_sqlite
from budflow.storage.schema import metadata
from budflow.storage.sqlite.store import SqliteStore
from tests.storage.conftest import OpenStore
from tests.storage.journals import credential, event, queued, signal, use

RunSql = Callable[[str], Awaitable[Any]]

FIRST_RELEASE = Scripts(SCRIPTS.directory, head="0001")

_LATER = '''"""Add a table."""

import sqlalchemy as sa
from alembic import op

revision = "9000"
down_revision = "{head}"


def upgrade() -> None:
    op.create_table("later", sa.Column("id", sa.Text, primary_key=True))
    op.execute("{statement}")
'''


def later_release(directory: Path, statement: str = "INSERT INTO later VALUES ('x')") -> Scripts:
    """The scripts with one more, as the next release would have them."""
    shutil.copytree(SCRIPTS.directory, directory, ignore=shutil.ignore_patterns("__pycache__"))
    (directory / "versions" / "9000_later.py").write_text(_LATER.format(head=SCRIPTS.head, statement=statement))
    return Scripts(directory, head="9000", older=(*SCRIPTS.older, SCRIPTS.head))


def async_url(url: str) -> str:
    return url.replace("postgresql:", "postgresql+asyncpg:")


def migrate_file(path: Path, scripts: Scripts) -> Path | None:
    engine = create_engine(f"sqlite:///{path}", isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as conn:
            return migrate_sqlite(conn, path, scripts)
    finally:
        engine.dispose()


def test_the_head_is_the_newest_script() -> None:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS.directory))
    directory = ScriptDirectory.from_config(config)

    assert directory.get_heads() == [SCRIPTS.head]
    assert [script.revision for script in directory.walk_revisions()][1:] == list(SCRIPTS.older)[::-1]


# What Alembic cannot compare, an index over expressions, the next test does.
@pytest.mark.filterwarnings("ignore:.*expression-based index")
async def test_the_migrated_schema_is_the_metadata(database: str | Path, open_again: OpenStore) -> None:
    await open_again()

    def is_comparable(_object: Any, name: str | None, kind: str, _reflected: bool, _other: Any) -> bool:
        return not (kind == "index" and name == "executions_to_claim")

    def differences(conn: Any) -> list[Any]:
        opts = {"compare_type": True, "compare_server_default": True, "include_object": is_comparable}
        return list(compare_metadata(MigrationContext.configure(conn, opts=opts), metadata))

    if isinstance(database, Path):
        engine = create_engine(f"sqlite:///{database}")
        with engine.connect() as conn:
            assert differences(conn) == []
        engine.dispose()
    else:
        async_engine = create_async_engine(async_url(database))
        async with async_engine.connect() as async_conn:
            assert await async_conn.run_sync(differences) == []
        await async_engine.dispose()


async def test_in_sqlite_the_tables_and_indexes_are_the_same_to_the_letter(tmp_path: Path) -> None:
    await (await SqliteStore.open(tmp_path / "migrated.db")).close()
    engine = create_engine(f"sqlite:///{tmp_path / 'metadata.db'}")
    metadata.create_all(engine)
    engine.dispose()

    def statements(name: str) -> set[str]:
        conn = sqlite3.connect(tmp_path / name)
        rows = conn.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name <> 'alembic_version'")
        found = {" ".join(sql.split()) for (sql,) in rows}
        conn.close()
        return found

    assert statements("migrated.db") == statements("metadata.db")


async def test_the_default_project_is_there(open_again: OpenStore, run_sql: RunSql) -> None:
    await open_again()

    assert await run_sql("SELECT id FROM projects") == "default"


async def test_a_newer_schema_is_refused_and_left_alone(open_again: OpenStore, run_sql: RunSql) -> None:
    await (await open_again()).close()
    await run_sql("UPDATE alembic_version SET version_num = '9999'")

    with pytest.raises(SchemaNewer, match="9999"):
        await open_again()

    assert await run_sql("SELECT version_num FROM alembic_version") == "9999"


async def test_many_who_open_a_new_database_migrate_it_once(open_again: OpenStore, run_sql: RunSql) -> None:
    await asyncio.gather(*(open_again() for _ in range(4)))

    assert await run_sql("SELECT count(*) FROM projects") == 1


async def test_a_file_is_backed_up_before_it_is_migrated(tmp_path: Path) -> None:
    path = tmp_path / "budflow.db"
    store = await SqliteStore.open(path)
    new = await queued(store)
    await store.close()

    backup = migrate_file(path, later_release(tmp_path / "scripts"))

    assert backup is not None
    assert backup.stat().st_mode & 0o777 == 0o600
    restored = await SqliteStore.open(backup)
    assert await restored.get_execution("default", new.id) == new
    await restored.close()
    with pytest.raises(SchemaNewer):
        await SqliteStore.open(path)


def test_a_new_file_needs_no_backup(tmp_path: Path) -> None:
    assert migrate_file(tmp_path / "budflow.db", SCRIPTS) is None
    assert [path.name for path in tmp_path.glob("*backup*")] == []


def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "budflow.db"
    migrate_file(path, SCRIPTS)

    with pytest.raises(Exception, match="no such table: nowhere"):
        migrate_file(path, later_release(tmp_path / "scripts", "INSERT INTO nowhere VALUES (1)"))

    conn = sqlite3.connect(path)
    assert conn.execute("SELECT version_num FROM alembic_version").fetchall() == [(SCRIPTS.head,)]
    assert conn.execute("SELECT 1 FROM sqlite_master WHERE name = 'later'").fetchall() == []
    conn.close()


async def make(database: str | Path, release: Scripts) -> None:
    """A new database as that release would have made it."""
    if isinstance(database, Path):
        migrate_file(database, release)
        return
    engine = create_async_engine(async_url(database))
    async with engine.begin() as conn:
        await conn.run_sync(migrate_postgres, release)
    await engine.dispose()


async def test_a_database_of_the_first_release_keeps_its_executions(
    database: str | Path, open_again: OpenStore, run_sql: RunSql
) -> None:
    await make(database, FIRST_RELEASE)
    await run_sql(
        "INSERT INTO executions (id, project_id, workflow_id, version, mode, status, created_at, cancelling, priority,"
        " parent_execution_id, parent_node, parent_call, depth, token)"
        " VALUES ('exe_a', 'default', 'wf_a', 1, 'child', 'queued', 1, false, 0, 'exe_p', 'call', 2, 1, 0)"
    )

    store = await open_again()

    created_at = datetime(1970, 1, 1, 0, 0, 0, 1, tzinfo=UTC)
    parent = Parent("exe_p", "call", 2, 1, awaited=True)
    old = Execution("exe_a", "default", "wf_a", 1, "child", "queued", created_at, parent=parent)
    assert await store.get_execution("default", "exe_a") == old
    assert await run_sql("SELECT progress_seq FROM executions") == -1
    await store.send_signal("default", signal("exe_a"))
    assert len(await store.signals_of("exe_a")) == 1


async def test_a_database_from_before_credentials_keeps_what_it_has_and_takes_them(
    database: str | Path, open_again: OpenStore, run_sql: RunSql
) -> None:
    await make(database, Scripts(SCRIPTS.directory, head="0003", older=("0001", "0002")))
    await run_sql(
        "INSERT INTO executions (id, project_id, workflow_id, version, mode, status, created_at, cancelling, priority,"
        " token) VALUES ('exe_a', 'default', 'wf_a', 1, 'api', 'queued', 1, false, 0, 0)"
    )
    await run_sql(
        "INSERT INTO events (execution_id, seq, project_id, type, version, at, encoding, payload)"
        " VALUES ('exe_a', 0, 'default', 'execution.admitted', 1, 1, 0, '{}')"
    )
    await run_sql("INSERT INTO blobs (project_id, sha256, size_bytes, written_at) VALUES ('default', 'abc', 1, 1)")

    store, new = await open_again(), credential()

    [(claim, row)] = await store.claim("r1", limit=1)
    assert row.id == "exe_a"
    await store.add_credential(new)
    await store.append(JournalWrite(claim, (event(1),), uses=(use(claim, credential_id=new.id),)))
    assert [stored.seq for stored in await store.read_events("default", "exe_a")] == [0, 1]
    assert await store.get_credential("default", "crm") == new
    assert len((await store.list_credential_uses("default", new.id, limit=10)).uses) == 1
    assert await store.known_blobs([("default", "abc")]) == {("default", "abc")}


@pytest.mark.postgres
async def test_postgres_is_migrated_by_the_next_release(postgres_url: str, tmp_path: Path) -> None:
    engine = create_async_engine(async_url(postgres_url))
    for scripts in (SCRIPTS, later_release(tmp_path / "scripts")):
        async with engine.begin() as conn:
            await conn.run_sync(migrate_postgres, scripts)

    async with engine.connect() as conn:
        assert (await conn.exec_driver_sql("SELECT id FROM later")).scalar() == "x"
        with pytest.raises(SchemaNewer):
            await conn.run_sync(migrate_postgres)
    await engine.dispose()


def test_an_up_to_date_file_is_opened_without_importing_alembic(tmp_path: Path) -> None:
    path = tmp_path / "budflow.db"
    migrate_file(path, SCRIPTS)
    program = (
        "import asyncio, sys; from pathlib import Path; from budflow.storage.sqlite.store import SqliteStore\n"
        "async def main():\n"
        f"    await (await SqliteStore.open(Path({str(path)!r}))).close()\n"
        "asyncio.run(main())\n"
        "assert 'alembic' not in sys.modules and 'asyncpg' not in sys.modules\n"
    )

    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
