"""The store in PostgreSQL, which several servers may share: they claim and append side by side."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy import URL, event, make_url
from sqlalchemy.exc import ArgumentError, DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from budflow.errors import BudflowError
from budflow.execution.ports import JournalWrite
from budflow.model.event import StoredEvent
from budflow.model.execution import Claim, Execution, Status
from budflow.model.workflow import VersionRecord, WebhookRoute, WorkflowRecord
from budflow.services.ports import Page
from budflow.storage import executions, migrate, workflows
from budflow.storage.payload import packer
from budflow.storage.postgres.committer import Committer
from budflow.storage.postgres.failures import FAILURES, error_of, is_repeatable
from budflow.storage.settle import Admission

POOL_SIZE = 8
POOL_OVERFLOW = 8
CONNECT_SECONDS = 10
COMMAND_SECONDS = 60

T = TypeVar("T")


class DatabaseUrlRefused(BudflowError):
    """The database URL is not one of PostgreSQL."""

    code = "storage.url_refused"
    http_status = 500
    hint = "Write it as postgresql://user:password@host:port/name."


class PostgresStore:
    """Meets budflow.services.ports.Store. It belongs to the event loop that opened it."""

    def __init__(self, engine: AsyncEngine) -> None:
        """Use `PostgresStore.open`; the database must be migrated."""
        self._engine = engine
        self._committer = Committer(engine)
        self._writes: set[asyncio.Task[Any]] = set()

    @classmethod
    async def open(cls, url: str) -> "PostgresStore":
        """Connect and migrate. Raises DatabaseUrlRefused, StorageUnavailable, SchemaNewer; none names the password."""
        engine = create_async_engine(
            _engine_url(url),
            isolation_level="READ COMMITTED",
            hide_parameters=True,  # They are payloads.
            pool_size=POOL_SIZE,
            max_overflow=POOL_OVERFLOW,
            pool_timeout=CONNECT_SECONDS,
            connect_args={"timeout": CONNECT_SECONDS, "command_timeout": COMMAND_SECONDS},
        )
        event.listen(engine.sync_engine.pool, "checkout", _refuse_closed)
        store = cls(engine)
        try:
            await store._write(migrate.migrate_postgres)
        except BaseException:
            await engine.dispose()
            raise
        return store

    async def close(self) -> None:
        await self._committer.close()
        if self._writes:
            await asyncio.wait(self._writes)
        await self._engine.dispose()

    async def admit(self, execution: Execution, events: Sequence[StoredEvent]) -> None:
        await self._committer.submit(Admission(execution, tuple(events)))

    async def append(self, write: JournalWrite) -> None:
        await self._committer.submit(write)

    async def claim(self, runner: str, *, limit: int) -> list[tuple[Claim, Execution]]:
        return await self._write(executions.claim_executions, runner, limit)

    async def get_execution(self, project_id: str, execution_id: str) -> Execution | None:
        return await self._read(executions.get_execution, project_id, execution_id)

    async def read_events(
        self, project_id: str, execution_id: str, *, after: int = -1, limit: int = 10_000
    ) -> list[StoredEvent]:
        return await self._read(executions.read_events, project_id, execution_id, after, limit)

    async def request_cancel(self, project_id: str, execution_id: str, ended: StoredEvent) -> Execution | None:
        return await self._write(executions.request_cancel, project_id, execution_id, ended, packer()(ended.payload))

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
        await self._write(workflows.add_workflow, workflow, version)

    async def add_version(self, version: VersionRecord, *, name: str, expected_version: int) -> WorkflowRecord:
        return await self._write(workflows.add_version, version, name, expected_version)

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
        return await self._write(workflows.publish, project_id, workflow_id, version, routes)

    async def delete_workflow(self, project_id: str, workflow_id: str) -> bool:
        return await self._write(workflows.delete_workflow, project_id, workflow_id)

    async def list_webhooks(self) -> list[WebhookRoute]:
        return await self._read(workflows.list_webhooks)

    async def _write(self, operation: Callable[..., T], *args: Any) -> T:
        # A task of its own: when the caller is cancelled the transaction still comes to its end.
        task = asyncio.create_task(self._transact(operation, args))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        return await asyncio.shield(task)

    async def _read(self, query: Callable[..., T], *args: Any) -> T:
        try:
            async with self._engine.connect() as conn:
                return await conn.run_sync(query, *args)
        except FAILURES as failure:
            raise error_of(failure) from failure

    async def _transact(self, operation: Callable[..., T], args: tuple[Any, ...]) -> T:
        try:
            return await self._in_transaction(operation, args)
        except FAILURES as failure:
            if not is_repeatable(failure):
                raise error_of(failure) from failure
        # A rival came in between; the second look finds what it wrote, and says so better than the database.
        try:
            return await self._in_transaction(operation, args)
        except FAILURES as failure:
            raise error_of(failure) from failure

    async def _in_transaction(self, operation: Callable[..., T], args: tuple[Any, ...]) -> T:
        async with self._engine.begin() as conn:
            return await conn.run_sync(operation, *args)


def _engine_url(text: str) -> URL:
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise DatabaseUrlRefused from None  # The cause would quote the URL, password and all.
    if url.drivername not in ("postgresql", "postgresql+asyncpg", "postgres"):
        raise DatabaseUrlRefused(f"A database URL cannot begin with {url.drivername}.")
    query = dict(url.query)
    if "sslmode" in query:  # libpq's word; asyncpg takes the same values as `ssl`.
        query["ssl"] = query.pop("sslmode")
    return url.set(drivername="postgresql+asyncpg", query=query)


def _refuse_closed(connection: Any, _record: object, _proxy: object) -> None:
    # The driver notices when the server hangs up, so the pool need not ask it before every use.
    if connection.driver_connection.is_closed():
        raise DisconnectionError
