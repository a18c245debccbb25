"""The store in PostgreSQL, which several servers may share: they claim and append side by side."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncEngine

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
    streams,
    trigger_keys,
    unbegun,
    waits,
    workflows,
)
from budflow.storage.payload import packer
from budflow.storage.postgres.committer import Committer
from budflow.storage.postgres.driver import driver_arguments
from budflow.storage.postgres.failures import FAILURES, error_of, is_cut, is_repeatable
from budflow.storage.postgres.lease import PostgresLease
from budflow.storage.postgres.pool import at_once, open_pool
from budflow.storage.queue_figures import StoredFigures
from budflow.storage.schedules import SqlSchedules
from budflow.storage.writes import Admission

POOL_SIZE = 8
POOL_OVERFLOW = 8

T = TypeVar("T")


class PostgresStore:
    """Meets budflow.services.ports.Store. It belongs to the event loop that opened it."""

    def __init__(self, engine: AsyncEngine, claiming: AsyncEngine) -> None:
        """Use `PostgresStore.open`; the database must be migrated. `claiming` is a connection that plans for claims."""
        self._engine, self._reading = engine, at_once(engine)
        self._claiming, self._claiming_at_once = claiming, at_once(claiming)
        self.cluster = StoredFigures(self._read)
        self._committer = Committer(engine, self.cluster.figures)
        self._claims = claims.Claims()
        self.schedules = SqlSchedules(self._write, self._read)
        self._writes: set[asyncio.Task[Any]] = set()

    @classmethod
    async def open(cls, url: str) -> "PostgresStore":
        """Connect and migrate. Raises DatabaseUrlRefused, StorageUnavailable, SchemaNewer; none names the password."""
        engine = open_pool(url, size=POOL_SIZE, overflow=POOL_OVERFLOW)
        store = cls(engine, open_pool(url, size=1, overflow=0, settings=streams.PLANNING))
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
        for pool in (self._engine, self._claiming):
            await pool.dispose()

    def driver_arguments(self) -> dict[str, Any]:
        """See budflow.scaling.open.SharedStore."""
        return driver_arguments(self._engine)

    async def admit(
        self,
        execution: Execution,
        events: Sequence[StoredEvent],
        trigger_key: AdmissionKey | None = None,
        uses: tuple[CredentialUse, ...] = (),
    ) -> None:
        await self._committer.submit(Admission(execution, tuple(events), trigger_key, uses))

    async def append(self, write: JournalWrite) -> None:
        await self._committer.submit(write)

    async def claim(self, runner: str, *, limit: int, suspects: int = 1) -> list[tuple[Claim, Execution]]:
        look = await self._read(self._claims.look, suspects, of=self._claiming_at_once)
        if not look.heads and not look.doubtful:
            return []
        # A limit is passed in a transaction: its lock is held until others see the claim. Without one each statement is
        # committed by itself; what it leased when its answer is lost the runner finds by `list_leased`.
        claiming = self._claiming if look.limited else self._claiming_at_once
        return await self._write(self._claims.take, runner, limit, suspects, look, of=claiming)

    async def claim_queued(self, runner: str, execution_id: str) -> tuple[Claim, Execution, Unbegun] | None:
        return await self._write(claims.claim_queued, runner, execution_id, of=self._claiming_at_once)

    async def reclaim(self, runner: str, execution_id: str) -> tuple[Claim, Execution] | None:
        return await self._write(claims.reclaim_execution, runner, execution_id)

    async def list_leased(self, runner: str) -> list[str]:
        return await self._read(claims.list_leased, runner)

    async def give_back(self, runner: str) -> None:
        await self._write(claims.give_back, runner)

    async def open_lease(
        self, runner: str, *, seconds: float, kind: RunnerKind = "main", details: Mapping[str, Any] | None = None
    ) -> Lease:
        row = leases.runner_values(runner, kind, details)
        return (await PostgresLease.open(self._engine, row, seconds)).count_in(self.cluster.figures)

    async def release_dead(self, runner: str) -> list[str]:
        return await self._write(leases.release_dead, runner)

    async def acquire_lead(self, name: str, holder: str, *, seconds: float) -> int | None:
        return await self._write(leaders.acquire_lead, name, holder, seconds)

    async def renew_lead(self, name: str, token: int, *, seconds: float) -> bool:
        return await self._write(leaders.renew_lead, name, token, seconds)

    async def release_lead(self, name: str, holder: str) -> None:
        await self._write(leaders.release_lead, name, holder)

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
        return await self._write(signals.send_signal, project_id, signal, packed)

    async def answer_wait(self, project_id: str, signal: Signal) -> None:
        packed = packer()(signal.event.payload)
        await self._write(waits.answer_wait, project_id, signal, packed)

    async def list_waits(self, project_id: str, wanted: WantedWaits = ALL_WAITS, *, limit: int = 100) -> list[OpenWait]:
        return await self._read(waits.list_waits, project_id, wanted, limit)

    async def signals(self, runner: str) -> list[Signal]:
        return await self._read(signals.list_signals, runner)

    async def signals_of(self, execution_id: str) -> list[Signal]:
        return await self._read(signals.signals_of, execution_id)

    async def get_snapshot(self, execution_id: str) -> Snapshot | None:
        return await self._read(snapshots.get_snapshot, execution_id)

    async def put_snapshot(self, claim: Claim, snapshot: Snapshot) -> None:
        await self._write(snapshots.put_snapshot, claim, snapshot)

    async def get_static(self, project_id: str, workflow_id: str) -> Mapping[str, Any]:
        return await self._read(static_data.get_static, project_id, workflow_id)

    async def request_cancel(self, project_id: str, execution_id: str, ended: StoredEvent) -> Execution | None:
        return await self._write(executions.request_cancel, project_id, execution_id, ended, packer()(ended.payload))

    async def cancelling(self, runner: str) -> list[str]:
        return await self._read(executions.list_cancelling, runner)

    async def count_queued(self) -> int:
        return await self._read(executions.count_queued)

    async def reserve(self, project_id: str, ask: RateAsk) -> datetime:
        return await self._write(rates.reserve, project_id, ask)

    async def get_server_key(self, name: str) -> bytes:
        return await self._write(server_keys.get_server_key, name)

    async def count_runners(self) -> int:
        return await self._read(leases.count_runners)

    async def list_runners(self) -> list[RunnerRow]:
        return await self._read(leases.list_runners)

    async def count_by_status(self) -> Mapping[Status, int]:
        return await self._read(executions.count_by_status)

    async def delete_old_keys(self, before: datetime) -> None:
        await self._write(trigger_keys.delete_old_keys, before)

    async def ended_workflows(self) -> list[tuple[str, str]]:
        return await self._read(retention.ended_workflows)

    async def newest_to_prune(self, project_id: str, workflow_id: str, kept: int) -> str | None:
        return await self._read(retention.newest_to_prune, project_id, workflow_id, kept)

    async def prune_executions(self, expired: Expired, *, limit: int, at: datetime) -> Pruned:
        return await self._write(retention.prune_executions, expired, limit, at)

    async def unused_blobs(self, before: datetime, *, limit: int) -> list[tuple[str, str]]:
        return await self._read(retention.unused_blobs, before, limit)

    async def forget_blob(self, project_id: str, sha256: str, before: datetime) -> bool:
        return await self._write(retention.forget_blob, project_id, sha256, before)

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
        self, project_id: str, workflow_id: str, version: int | None, routes: Sequence[TriggerRoute]
    ) -> WorkflowRecord:
        return await self._write(workflows.publish, project_id, workflow_id, version, routes)

    async def delete_workflow(self, project_id: str, workflow_id: str) -> bool:
        return await self._write(workflows.delete_workflow, project_id, workflow_id)

    async def list_webhooks(self) -> list[WebhookRoute]:
        return await self._read(workflows.list_webhooks)

    async def add_credential(self, record: CredentialRecord, *, request_id: str | None = None) -> None:
        await self._write(credentials.add_credential, record, request_id)

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
        await self._write(credentials.update_credential, record, expected)

    async def delete_credential(self, project_id: str, credential_id: str) -> bool:
        return await self._write(credentials.delete_credential, project_id, credential_id)

    async def list_key_ids(self) -> frozenset[str]:
        return await self._read(credentials.list_key_ids)

    async def list_wrapped_otherwise(self, key_id: str, *, limit: int) -> list[CredentialRecord]:
        return await self._read(credentials.list_wrapped_otherwise, key_id, limit)

    async def rewrap_credential(self, record: CredentialRecord, sealed: Sealed) -> bool:
        return await self._write(credentials.rewrap_credential, record, sealed)

    async def add_credential_use(self, use: CredentialUse) -> None:
        await self._write(credential_uses.add_use, use)

    async def list_credential_uses(
        self, project_id: str, credential_id: str, *, limit: int, cursor: str | None = None
    ) -> UsesPage:
        return await self._read(credential_uses.list_uses, project_id, credential_id, limit, cursor)

    async def delete_old_uses(self, before: datetime) -> None:
        used: Sequence[tuple[str, str]] = await self._read(credential_uses.find_old_uses, before)
        while used:
            used = await self._write(credential_uses.delete_some_uses, used, before)
        await self._write(credential_requests.delete_old_requests, before)

    async def add_credential_request(self, request: CredentialRequest, *, open_max: int = REQUESTS_OPEN_MAX) -> None:
        await self._write(credential_requests.add_request, request, open_max)

    async def get_credential_request(self, token_hash: str) -> CredentialRequest | None:
        return await self._read(credential_requests.get_request, token_hash)

    async def _write(self, operation: Callable[..., T], *args: Any, of: AsyncEngine | None = None) -> T:
        # A task of its own: when the caller is cancelled the transaction still comes to its end.
        task = asyncio.create_task(self._transact(of or self._engine, operation, args))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        return await asyncio.shield(task)

    async def _read(self, query: Callable[..., T], *args: Any, of: AsyncEngine | None = None, first: bool = True) -> T:
        try:
            async with (of or self._reading).connect() as conn:
                return await conn.run_sync(query, *args)
        except FAILURES as failure:
            if not (first and is_cut(failure)):
                raise error_of(failure) from failure
        # A connection was cut, which says nothing of the server; reading twice is like reading once.
        return await self._read(query, *args, of=of, first=False)

    async def _transact(
        self, engine: AsyncEngine, operation: Callable[..., T], args: tuple[Any, ...], *, first: bool = True
    ) -> T:
        committing = False
        try:
            async with engine.begin() as conn:
                outcome = await conn.run_sync(operation, *args)
                committing = True
            return outcome
        except FAILURES as failure:
            # What was cut before the commit was sent is undone. Of a commit that was cut nobody knows, so it is told.
            undone = is_repeatable(failure) or (is_cut(failure) and not committing)
            if not (first and undone):
                raise error_of(failure) from failure
        # Where a rival came in between, the second look finds what it wrote, and says so better than the database.
        return await self._transact(engine, operation, args, first=False)
