"""The store in one SQLite file: one writer thread, and readers beside it that never wait for it (WAL)."""

import asyncio
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError

from budflow.errors import BudflowError
from budflow.execution.ports import Lease
from budflow.execution.records import AdmissionKey, JournalWrite, OpenWait, RateAsk, Signal, Snapshot, Unbegun
from budflow.model.credential import CredentialRecord, CredentialRequest, CredentialUse, Sealed
from budflow.model.event import StoredEvent
from budflow.model.execution import Claim, Execution, RunnerKind, Status
from budflow.model.wait import ALL_WAITS, WantedWaits
from budflow.model.workflow import VersionRecord, WebhookRoute, WorkflowRecord
from budflow.services.credential_ports import REQUESTS_OPEN_MAX, CredentialsPage, UsesPage
from budflow.services.leader_ports import LeaderRow
from budflow.services.ports import Page, RunnerRow, TriggerRoute
from budflow.services.retention import Expired, Pruned
from budflow.storage import (
    claims,
    credential_requests,
    credential_uses,
    credentials,
    executions,
    leaders,
    leases,
    migrate,
    rates,
    retention,
    server_keys,
    signals,
    snapshots,
    static_data,
    trigger_keys,
    unbegun,
    waits,
    workflows,
)
from budflow.storage.errors import StorageUnavailable
from budflow.storage.payload import packer
from budflow.storage.queue_figures import StoredFigures
from budflow.storage.schedules import SqlSchedules
from budflow.storage.sqlite.lease import SqliteLease
from budflow.storage.sqlite.writer import Writer
from budflow.storage.writes import Admission

READERS = 4
BUSY_SECONDS = 10

T = TypeVar("T")


class SqliteStore:
    """Meets budflow.services.ports.Store. Only one process may write to a file: the owner of its directory."""

    def __init__(self, writer_engine: Engine, reader_engine: Engine) -> None:
        """Use `SqliteStore.open`; the file must exist and be migrated."""
        self._engines = (writer_engine, reader_engine)
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="budflow-sqlite-reader")
        self.cluster = StoredFigures(self._read)
        self._writer = Writer(writer_engine.connect, self.cluster.figures)
        self._claims = claims.Claims()
        self.schedules = SqlSchedules(self._write, self._read)

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
        for engine in reversed(self._engines):  # The writer last: SQLite then writes the WAL into the file, and
            engine.dispose()  # removes it, so that the next start need not read it. Who only reads cannot.

    async def admit(
        self,
        execution: Execution,
        events: Sequence[StoredEvent],
        trigger_key: AdmissionKey | None = None,
        uses: tuple[CredentialUse, ...] = (),
    ) -> None:
        await self._writer.submit(Admission(execution, tuple(events), trigger_key, uses))

    async def append(self, write: JournalWrite) -> None:
        await self._writer.submit(write)

    async def claim(self, runner: str, *, limit: int, suspects: int = 1) -> list[tuple[Claim, Execution]]:
        return await self._write(lambda conn: self._claims.claim(conn, runner, limit, suspects))

    async def claim_queued(self, runner: str, execution_id: str) -> tuple[Claim, Execution, Unbegun] | None:
        return await self._write(lambda conn: claims.claim_queued(conn, runner, execution_id))

    async def reclaim(self, runner: str, execution_id: str) -> tuple[Claim, Execution] | None:
        return await self._write(lambda conn: claims.reclaim_execution(conn, runner, execution_id))

    async def list_leased(self, runner: str) -> list[str]:
        return await self._read(claims.list_leased, runner)

    async def give_back(self, runner: str) -> None:
        await self._write(lambda conn: claims.give_back(conn, runner))

    async def open_lease(
        self, runner: str, *, seconds: float, kind: RunnerKind = "main", details: Mapping[str, Any] | None = None
    ) -> Lease:
        return await SqliteLease.open(self._write, leases.runner_values(runner, kind, details))

    async def release_dead(self, runner: str) -> list[str]:
        return await self._write(lambda conn: leases.release_dead(conn, runner))

    async def acquire_lead(self, name: str, holder: str, *, seconds: float) -> int | None:
        return await self._write(lambda conn: leaders.acquire_lead(conn, name, holder, seconds))

    async def renew_lead(self, name: str, token: int, *, seconds: float) -> bool:
        return await self._write(lambda conn: leaders.renew_lead(conn, name, token, seconds))

    async def release_lead(self, name: str, holder: str) -> None:
        await self._write(lambda conn: leaders.release_lead(conn, name, holder))

    async def current_lead(self, name: str) -> LeaderRow | None:
        return await self._read(leaders.current_lead, name)

    async def next_wake(self) -> datetime | None:
        return await self._read(claims.next_wake)

    async def get_execution(self, project_id: str, execution_id: str) -> Execution | None:
        return await self._read(executions.get_execution, project_id, execution_id)

    async def read_unbegun(self, execution_ids: Sequence[str]) -> Mapping[str, Unbegun]:
        return await self._read(unbegun.read_unbegun, execution_ids)

    async def read_events(
        self, project_id: str, execution_id: str, *, after: int = -1, limit: int = 10_000
    ) -> list[StoredEvent]:
        return await self._read(executions.read_events, project_id, execution_id, after, limit)

    async def send_signal(self, project_id: str, signal: Signal) -> Execution | None:
        packed = packer()(signal.event.payload)
        return await self._write(lambda conn: signals.send_signal(conn, project_id, signal, packed))

    async def answer_wait(self, project_id: str, signal: Signal) -> None:
        packed = packer()(signal.event.payload)
        await self._write(lambda conn: waits.answer_wait(conn, project_id, signal, packed))

    async def list_waits(self, project_id: str, wanted: WantedWaits = ALL_WAITS, *, limit: int = 100) -> list[OpenWait]:
        return await self._read(waits.list_waits, project_id, wanted, limit)

    async def signals(self, runner: str) -> list[Signal]:
        return await self._read(signals.list_signals, runner)

    async def signals_of(self, execution_id: str) -> list[Signal]:
        return await self._read(signals.signals_of, execution_id)

    async def get_snapshot(self, execution_id: str) -> Snapshot | None:
        return await self._read(snapshots.get_snapshot, execution_id)

    async def put_snapshot(self, claim: Claim, snapshot: Snapshot) -> None:
        await self._write(lambda conn: snapshots.put_snapshot(conn, claim, snapshot))

    async def get_static(self, project_id: str, workflow_id: str) -> Mapping[str, Any]:
        return await self._read(static_data.get_static, project_id, workflow_id)

    async def request_cancel(self, project_id: str, execution_id: str, ended: StoredEvent) -> Execution | None:
        stored = packer()(ended.payload)
        return await self._write(lambda conn: executions.request_cancel(conn, project_id, execution_id, ended, stored))

    async def cancelling(self, runner: str) -> list[str]:
        return await self._read(executions.list_cancelling, runner)

    async def count_queued(self) -> int:
        return await self._read(executions.count_queued)

    async def reserve(self, project_id: str, ask: RateAsk) -> datetime:
        return await self._write(lambda conn: rates.reserve(conn, project_id, ask))

    async def get_server_key(self, name: str) -> bytes:
        return await self._write(lambda conn: server_keys.get_server_key(conn, name))

    async def count_runners(self) -> int:
        return await self._read(leases.count_runners)

    async def list_runners(self) -> list[RunnerRow]:
        return await self._read(leases.list_runners)

    async def count_by_status(self) -> Mapping[Status, int]:
        return await self._read(executions.count_by_status)

    async def delete_old_keys(self, before: datetime) -> None:
        await self._write(lambda conn: trigger_keys.delete_old_keys(conn, before))

    async def ended_workflows(self) -> list[tuple[str, str]]:
        return await self._read(retention.ended_workflows)

    async def newest_to_prune(self, project_id: str, workflow_id: str, kept: int) -> str | None:
        return await self._read(retention.newest_to_prune, project_id, workflow_id, kept)

    async def prune_executions(self, expired: Expired, *, limit: int, at: datetime) -> Pruned:
        return await self._write(lambda conn: retention.prune_executions(conn, expired, limit, at))

    async def unused_blobs(self, before: datetime, *, limit: int) -> list[tuple[str, str]]:
        return await self._read(retention.unused_blobs, before, limit)

    async def forget_blob(self, project_id: str, sha256: str, before: datetime) -> bool:
        return await self._write(lambda conn: retention.forget_blob(conn, project_id, sha256, before))

    async def known_blobs(self, blobs: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
        return await self._read(retention.known_blobs, blobs)

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
        self, project_id: str, workflow_id: str, version: int | None, routes: Sequence[TriggerRoute]
    ) -> WorkflowRecord:
        return await self._write(lambda conn: workflows.publish(conn, project_id, workflow_id, version, routes))

    async def delete_workflow(self, project_id: str, workflow_id: str) -> bool:
        return await self._write(lambda conn: workflows.delete_workflow(conn, project_id, workflow_id))

    async def list_webhooks(self) -> list[WebhookRoute]:
        return await self._read(workflows.list_webhooks)

    async def add_credential(self, record: CredentialRecord, *, request_id: str | None = None) -> None:
        await self._write(lambda conn: credentials.add_credential(conn, record, request_id))

    async def get_credential(self, project_id: str, reference: str) -> CredentialRecord | None:
        return await self._read(credentials.get_credential, project_id, reference)

    async def list_credentials(
        self,
        project_id: str,
        *,
        limit: int,
        cursor: str | None = None,
        kind: str | None = None,
        name: str | None = None,
    ) -> CredentialsPage:
        return await self._read(credentials.list_credentials, project_id, limit, cursor, kind, name)

    async def update_credential(self, record: CredentialRecord, *, expected: CredentialRecord) -> None:
        await self._write(lambda conn: credentials.update_credential(conn, record, expected))

    async def delete_credential(self, project_id: str, credential_id: str) -> bool:
        return await self._write(lambda conn: credentials.delete_credential(conn, project_id, credential_id))

    async def list_key_ids(self) -> frozenset[str]:
        return await self._read(credentials.list_key_ids)

    async def list_wrapped_otherwise(self, key_id: str, *, limit: int) -> list[CredentialRecord]:
        return await self._read(credentials.list_wrapped_otherwise, key_id, limit)

    async def rewrap_credential(self, record: CredentialRecord, sealed: Sealed) -> bool:
        return await self._write(lambda conn: credentials.rewrap_credential(conn, record, sealed))

    async def add_credential_use(self, use: CredentialUse) -> None:
        await self._write(partial(credential_uses.add_use, use=use))

    async def list_credential_uses(
        self, project_id: str, credential_id: str, *, limit: int, cursor: str | None = None
    ) -> UsesPage:
        return await self._read(credential_uses.list_uses, project_id, credential_id, limit, cursor)

    async def delete_old_uses(self, before: datetime) -> None:
        used: Sequence[tuple[str, str]] = await self._read(credential_uses.find_old_uses, before)
        while used:
            used = await self._write(partial(credential_uses.delete_some_uses, used=used, before=before))
        await self._write(lambda conn: credential_requests.delete_old_requests(conn, before))

    async def add_credential_request(self, request: CredentialRequest, *, open_max: int = REQUESTS_OPEN_MAX) -> None:
        await self._write(lambda conn: credential_requests.add_request(conn, request, open_max))

    async def get_credential_request(self, token_hash: str) -> CredentialRequest | None:
        return await self._read(credential_requests.get_request, token_hash)

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
