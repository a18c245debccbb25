"""The store in one SQLite file: one writer thread, and readers beside it that never wait for it (WAL)."""

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError

from budflow.errors import BudflowError
from budflow.execution.ports import JournalWrite
from budflow.model.event import StoredEvent
from budflow.model.execution import Claim, Execution, Status
from budflow.model.workflow import VersionRecord, WebhookRoute, WorkflowRecord
from budflow.services.ports import Page
from budflow.storage import executions, migrate, workflows
from budflow.storage.errors import StorageUnavailable
from budflow.storage.payload import packer
from budflow.storage.settle import Admission
from budflow.storage.sqlite.writer import Writer

READERS = 4
BUSY_SECONDS = 10

T = TypeVar("T")


class SqliteStore:
    """Meets budflow.services.ports.Store. Only one process may write to a file: the owner of its directory."""

    def __init__(self, writer_engine: Engine, reader_engine: Engine) -> None:
        """Use `SqliteStore.open`; the file must exist and be migrated."""
        self._engines = (writer_engine, reader_engine)
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="budflow-sqlite-reader")
        self._writer = Writer(writer_engine.connect)

    @classmethod
    async def open(cls, path: Path) -> "SqliteStore":
        """Open or create the file, readable by its owner alone, and migrate it.

        Raises StorageUnavailable, SchemaNewer.
        """
        return await asyncio.to_thread(cls._open, path)

    @classmethod
    def _open(cls, path: Path) -> "SqliteStore":
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            raise StorageUnavailable(f"The database {path} cannot be opened: {error.strerror}.") from error
        writer_engine = _engine(URL.create("sqlite+pysqlite", database=str(path)))
        read_only = {"mode": "ro", "uri": "true"}
        reader_engine = _engine(URL.create("sqlite+pysqlite", database=f"file:{quote(str(path))}", query=read_only))
        try:
            with writer_engine.connect() as conn:
                migrate.migrate_sqlite(conn, path)
        except DBAPIError as error:
            writer_engine.dispose()
            raise StorageUnavailable(f"The database {path} cannot be opened: {error.orig}.") from error
        except BudflowError:
            writer_engine.dispose()
            raise
        return cls(writer_engine, reader_engine)

    async def close(self) -> None:
        await self._writer.close()
        await asyncio.to_thread(self._readers.shutdown)
        for engine in self._engines:
            engine.dispose()

    async def admit(self, execution: Execution, events: Sequence[StoredEvent]) -> None:
        await self._writer.submit(Admission(execution, tuple(events)))

    async def append(self, write: JournalWrite) -> None:
        await self._writer.submit(write)

    async def claim(self, runner: str, *, limit: int) -> list[tuple[Claim, Execution]]:
        return await self._write(lambda conn: executions.claim_executions(conn, runner, limit))

    async def get_execution(self, project_id: str, execution_id: str) -> Execution | None:
        return await self._read(executions.get_execution, project_id, execution_id)

    async def read_events(
        self, project_id: str, execution_id: str, *, after: int = -1, limit: int = 10_000
    ) -> list[StoredEvent]:
        return await self._read(executions.read_events, project_id, execution_id, after, limit)

    async def request_cancel(self, project_id: str, execution_id: str, ended: StoredEvent) -> Execution | None:
        stored = packer()(ended.payload)
        return await self._write(lambda conn: executions.request_cancel(conn, project_id, execution_id, ended, stored))

    async def cancelling(self, runner: str) -> list[str]:
        return await self._read(executions.list_cancelling, runner)

    async def count_queued(self) -> int:
        return await self._read(executions.count_queued)

    async def list_executions(
        self,
        project_id: str,
        *,
        limit: int,
        cursor: str | None = None,
        workflow_id: str | None = None,
        status: Status | None = None,
    ) -> Page[Execution]:
        return await self._read(executions.list_executions, project_id, limit, cursor, workflow_id, status)

    async def add_workflow(self, workflow: WorkflowRecord, version: VersionRecord) -> None:
        await self._write(lambda conn: workflows.add_workflow(conn, workflow, version))

    async def add_version(self, version: VersionRecord, *, name: str, expected_version: int) -> WorkflowRecord:
        return await self._write(lambda conn: workflows.add_version(conn, version, name, expected_version))

    async def get_workflow(self, project_id: str, workflow_id: str) -> WorkflowRecord | None:
        return await self._read(workflows.get_workflow, project_id, workflow_id)

    async def get_version(self, project_id: str, workflow_id: str, version: int) -> VersionRecord | None:
        return await self._read(workflows.get_version, project_id, workflow_id, version)

    async def list_workflows(
        self, project_id: str, *, limit: int, cursor: str | None = None, name: str | None = None
    ) -> Page[WorkflowRecord]:
        return await self._read(workflows.list_workflows, project_id, limit, cursor, name)

    async def list_versions(self, project_id: str, workflow_id: str) -> list[VersionRecord]:
        return await self._read(workflows.list_versions, project_id, workflow_id)

    async def publish(
        self, project_id: str, workflow_id: str, version: int | None, routes: Sequence[WebhookRoute]
    ) -> WorkflowRecord:
        return await self._write(lambda conn: workflows.publish(conn, project_id, workflow_id, version, routes))

    async def delete_workflow(self, project_id: str, workflow_id: str) -> bool:
        return await self._write(lambda conn: workflows.delete_workflow(conn, project_id, workflow_id))

    async def list_webhooks(self) -> list[WebhookRoute]:
        return await self._read(workflows.list_webhooks)

    async def _write(self, task: Callable[[Connection], T]) -> T:
        result: T = await self._writer.submit(task)
        return result

    async def _read(self, query: Callable[..., T], *args: Any) -> T:
        self._writer.refuse_closed()
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._query, query, args)

    def _query(self, query: Callable[..., T], args: tuple[Any, ...]) -> T:
        try:
            with self._engines[1].connect() as conn:
                return query(conn, *args)
        except DBAPIError as error:
            raise StorageUnavailable(f"SQLite refused to read: {error.orig}.") from error


def _engine(url: URL) -> Engine:
    # AUTOCOMMIT is the driver's: it starts no transaction of its own, only the writer's BEGIN does. Parameters are
    # payloads and stay out of error messages.
    engine = create_engine(
        url,
        isolation_level="AUTOCOMMIT",
        hide_parameters=True,
        pool_size=READERS,
        connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False, "cached_statements": 256},
    )
    event.listen(engine, "connect", _configure)
    return engine


def _configure(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    for pragma in (
        "journal_mode = WAL",
        "synchronous = FULL",  # In WAL, NORMAL may lose the last commits when the power goes.
        "foreign_keys = ON",
        "temp_store = MEMORY",
        "cache_size = -32768",
        "wal_autocheckpoint = 4000",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
