"""Everything in this process's memory: what `budflow run` uses, and what the other adapters are compared with."""

import secrets
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

import orjson

from budflow.execution.ports import Lease
from budflow.execution.records import AdmissionKey, JournalWrite, OpenWait, RateAsk, Signal, Snapshot, Unbegun
from budflow.model.credential import CredentialRecord, CredentialRequest, CredentialUse, Sealed
from budflow.model.event import StoredEvent
from budflow.model.execution import TERMINAL, Claim, Execution, RunnerKind, Status
from budflow.model.identity import utc_now
from budflow.model.principal import DEFAULT_PROJECT
from budflow.model.wait import ALL_WAITS, WantedWaits
from budflow.model.workflow import (
    VersionConflict,
    VersionNotFound,
    VersionRecord,
    WebhookRoute,
    WorkflowNotFound,
    WorkflowRecord,
)
from budflow.services.credential_ports import REQUESTS_OPEN_MAX, CredentialsPage, UsesPage
from budflow.services.leader_ports import LeaderRow
from budflow.services.ports import Page, RunnerRow, TriggerRoute
from budflow.services.retention import Expired, Pruned
from budflow.storage.credential_rows import refuse_unstorable_use
from budflow.storage.errors import WriteConflict
from budflow.storage.memory import credentials, retention, signals, tables, triggers
from budflow.storage.memory.claims import MemoryClaims
from budflow.storage.memory.leaders import MemoryLeaders
from budflow.storage.memory.queue_figures import MemoryFigures
from budflow.storage.memory.schedules import MemorySchedules
from budflow.storage.memory.tables import Tables
from budflow.storage.rows import refuse_unstorable
from budflow.storage.writes import Admission


class _HasId(Protocol):
    @property
    def id(self) -> str: ...


T = TypeVar("T", bound=_HasId)


class MemoryStore:
    """Meets budflow.services.ports.Store; nothing outlives the process. No method awaits, so each is atomic."""

    def __init__(self) -> None:
        self._tables = Tables()
        self.cluster = MemoryFigures(self._tables)
        self._claims = MemoryClaims(self._tables)
        self._leaders = MemoryLeaders()
        self.schedules = MemorySchedules(self._tables)
        self._workflows: dict[str, WorkflowRecord] = {}
        self._versions: defaultdict[str, list[VersionRecord]] = defaultdict(list)
        self._server_keys: dict[str, bytes] = {}
        self._rates: dict[tuple[str, str], datetime] = {}

    async def admit(
        self,
        execution: Execution,
        events: Sequence[StoredEvent],
        trigger_key: AdmissionKey | None = None,
        uses: tuple[CredentialUse, ...] = (),
    ) -> None:
        tables.write(self._tables, Admission(execution, tuple(events), trigger_key, uses))

    async def append(self, write: JournalWrite) -> None:
        tables.write(self._tables, write)

    async def claim(self, runner: str, *, limit: int, suspects: int = 1) -> list[tuple[Claim, Execution]]:
        return self._claims.claim(runner, limit, suspects)

    async def claim_queued(self, runner: str, execution_id: str) -> tuple[Claim, Execution, Unbegun] | None:
        claimed = self._claims.claim_queued(runner, execution_id)
        return None if claimed is None else (*claimed, (await self.read_unbegun([execution_id]))[execution_id])

    async def reclaim(self, runner: str, execution_id: str) -> tuple[Claim, Execution] | None:
        return self._claims.reclaim(runner, execution_id)

    async def list_leased(self, runner: str) -> list[str]:
        return [row.id for row in self._tables.executions.values() if (row.runner, row.status) == (runner, "running")]

    async def give_back(self, runner: str) -> None:
        for execution_id in await self.list_leased(runner):
            row = self._tables.executions[execution_id]
            self._tables.executions[execution_id] = replace(row, status="queued", runner=None, token=row.token + 1)

    async def open_lease(
        self, runner: str, *, seconds: float, kind: RunnerKind = "main", details: Mapping[str, Any] | None = None
    ) -> Lease:
        return self._claims.open_lease(runner, kind, details)

    async def release_dead(self, runner: str) -> list[str]:
        return self._claims.release_dead(runner)

    async def acquire_lead(self, name: str, holder: str, *, seconds: float) -> int | None:
        return self._leaders.acquire(name, holder, seconds)

    async def renew_lead(self, name: str, token: int, *, seconds: float) -> bool:
        return self._leaders.renew(name, token, seconds)

    async def release_lead(self, name: str, holder: str) -> None:
        self._leaders.release(name, holder)

    async def current_lead(self, name: str) -> LeaderRow | None:
        return self._leaders.current(name)

    async def next_wake(self) -> datetime | None:
        return self._claims.next_wake()

    async def get_execution(self, project_id: str, execution_id: str) -> Execution | None:
        execution = self._tables.executions.get(execution_id)
        return execution if execution is not None and execution.project_id == project_id else None

    async def read_unbegun(self, execution_ids: Sequence[str]) -> Mapping[str, Unbegun]:
        return {
            id_: Unbegun(tuple(self._tables.journals[id_]), tuple(signals.signals_of(self._tables, id_)))
            for id_ in execution_ids
        }

    async def read_events(
        self, project_id: str, execution_id: str, *, after: int = -1, limit: int = 10_000
    ) -> list[StoredEvent]:
        if await self.get_execution(project_id, execution_id) is None:
            return []
        journal = self._tables.journals[execution_id]
        start = bisect_right(journal, after, key=lambda event: event.seq)
        return journal[start : start + limit]

    async def send_signal(self, project_id: str, signal: Signal) -> Execution | None:
        return signals.send_signal(self._tables, project_id, signal)

    async def answer_wait(self, project_id: str, signal: Signal) -> None:
        signals.answer_wait(self._tables, project_id, signal)

    async def list_waits(self, project_id: str, wanted: WantedWaits = ALL_WAITS, *, limit: int = 100) -> list[OpenWait]:
        return signals.list_waits(self._tables, project_id, wanted, limit)

    async def signals(self, runner: str) -> list[Signal]:
        return signals.list_signals(self._tables, runner)

    async def signals_of(self, execution_id: str) -> list[Signal]:
        return signals.signals_of(self._tables, execution_id)

    async def get_snapshot(self, execution_id: str) -> Snapshot | None:
        return self._tables.snapshots.get(execution_id)

    async def put_snapshot(self, claim: Claim, snapshot: Snapshot) -> None:
        execution = self._tables.executions.get(claim.execution_id)
        if execution is not None and execution.token == claim.token and execution.status not in TERMINAL:
            self._tables.snapshots[claim.execution_id] = snapshot

    async def get_static(self, project_id: str, workflow_id: str) -> Mapping[str, Any]:
        values = self._tables.static[project_id, workflow_id]
        return {node: orjson.loads(value) for node, value in values.items()}

    async def request_cancel(self, project_id: str, execution_id: str, ended: StoredEvent) -> Execution | None:
        execution = await self.get_execution(project_id, execution_id)
        if execution is None or execution.status in TERMINAL:
            return execution
        awaited = execution.parent is not None and execution.parent.awaited
        if execution.status == "queued" and execution.started_at is None and not awaited:
            journal = self._tables.journals[execution_id]
            journal.append(replace(ended, seq=len(journal)))
            execution = replace(execution, status="cancelled", finished_at=ended.at)
            tables.clear(self._tables, execution_id)
        else:
            execution = replace(execution, cancelling=True)
        self._tables.executions[execution_id] = execution
        return tables.wake(self._tables, execution_id)

    async def cancelling(self, runner: str) -> list[str]:
        return sorted(e.id for e in self._tables.executions.values() if e.cancelling and e.runner == runner)

    async def count_queued(self) -> int:
        return sum(execution.status == "queued" for execution in self._tables.executions.values())

    async def reserve(self, project_id: str, ask: RateAsk) -> datetime:
        refuse_unstorable(key=ask.key)
        spacing = timedelta(seconds=ask.per_seconds / ask.limit)
        free_at = max(self._rates.get((project_id, ask.key), utc_now()), utc_now()) + ask.amount * spacing
        self._rates[project_id, ask.key] = free_at
        return free_at - spacing

    async def get_server_key(self, name: str) -> bytes:
        return self._server_keys.setdefault(name, secrets.token_bytes(32))

    async def count_runners(self) -> int:
        return sum(row.details.get("claims", True) for row in await self.list_runners())

    async def list_runners(self) -> list[RunnerRow]:
        return self._claims.list_runners()

    async def count_by_status(self) -> Mapping[Status, int]:
        counts: dict[Status, int] = {"queued": 0, "running": 0, "waiting": 0}
        for execution in self._tables.executions.values():
            if execution.status in counts:
                counts[execution.status] += 1
        return counts

    async def delete_old_keys(self, before: datetime) -> None:
        keys = self._tables.keys
        self._tables.keys = {name: key for name, key in keys.items() if key.created_at >= before}

    async def ended_workflows(self) -> list[tuple[str, str]]:
        return retention.ended_workflows(self._tables)

    async def newest_to_prune(self, project_id: str, workflow_id: str, kept: int) -> str | None:
        return retention.newest_to_prune(self._tables, project_id, workflow_id, kept)

    async def prune_executions(self, expired: Expired, *, limit: int, at: datetime) -> Pruned:
        return retention.prune_executions(self._tables, expired, limit, at)

    async def unused_blobs(self, before: datetime, *, limit: int) -> list[tuple[str, str]]:
        return retention.unused_blobs(self._tables, before, limit)

    async def forget_blob(self, project_id: str, sha256: str, before: datetime) -> bool:
        return retention.forget_blob(self._tables, (project_id, sha256), before)

    async def known_blobs(self, blobs: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
        return retention.known_blobs(self._tables, blobs)

    async def list_executions(
        self,
        project_id: str,
        *,
        limit: int,
        cursor: str | None = None,
        workflow_id: str | None = None,
        status: Status | None = None,
    ) -> Page[Execution]:
        return _page(
            (
                execution
                for execution in self._tables.executions.values()
                if execution.project_id == project_id
                and workflow_id in (None, execution.workflow_id)
                and status in (None, execution.status)
            ),
            limit,
            cursor,
        )

    async def add_workflow(self, workflow: WorkflowRecord, version: VersionRecord) -> None:
        refuse_unstorable(name=workflow.name)
        if workflow.id in self._workflows or workflow.project_id != DEFAULT_PROJECT:
            raise WriteConflict("The workflow's id is taken, or its project is not stored.")
        self._workflows[workflow.id] = workflow
        self._versions[workflow.id].append(_frozen(version))

    async def add_version(self, version: VersionRecord, *, name: str, expected_version: int) -> WorkflowRecord:
        refuse_unstorable(name=name)
        workflow = self._known(version.project_id, version.workflow_id)
        if workflow.latest_version != expected_version:
            raise VersionConflict(
                f"The latest version is {workflow.latest_version}, not {expected_version}.",
                latest_version=workflow.latest_version,
                expected_version=expected_version,
            )
        renamed = replace(workflow, name=name, latest_version=version.version, updated_at=version.created_at)
        self._workflows[workflow.id] = renamed
        self._versions[workflow.id].append(_frozen(version))
        return renamed

    async def get_workflow(self, project_id: str, workflow_id: str) -> WorkflowRecord | None:
        workflow = self._workflows.get(workflow_id)
        return workflow if workflow is not None and workflow.project_id == project_id else None

    async def get_version(self, project_id: str, workflow_id: str, version: int) -> VersionRecord | None:
        versions = await self.list_versions(project_id, workflow_id)
        return next((record for record in versions if record.version == version), None)

    async def list_workflows(
        self, project_id: str, *, limit: int, cursor: str | None = None, name: str | None = None
    ) -> Page[WorkflowRecord]:
        refuse_unstorable(name=name)
        part = (name or "").casefold()
        mine = (w for w in self._workflows.values() if w.project_id == project_id and part in w.name.casefold())
        return _page(mine, limit, cursor)

    async def list_versions(self, project_id: str, workflow_id: str) -> list[VersionRecord]:
        kept = self._versions.get(workflow_id, [])
        return [record for record in reversed(kept) if record.project_id == project_id]

    async def publish(
        self, project_id: str, workflow_id: str, version: int | None, routes: Sequence[TriggerRoute]
    ) -> WorkflowRecord:
        workflow = self._known(project_id, workflow_id)
        if version is not None and await self.get_version(project_id, workflow_id, version) is None:
            raise VersionNotFound(version=version)
        triggers.arm(self._tables, workflow_id, routes)
        self._workflows[workflow_id] = replace(workflow, published_version=version)
        return self._workflows[workflow_id]

    async def delete_workflow(self, project_id: str, workflow_id: str) -> bool:
        if await self.get_workflow(project_id, workflow_id) is None:
            return False
        triggers.disarm(self._tables, workflow_id)
        del self._workflows[workflow_id]  # Its versions stay: executions are read by them.
        return True

    async def list_webhooks(self) -> list[WebhookRoute]:
        return [route for _, route in sorted(self._tables.webhooks.items())]

    async def add_credential(self, record: CredentialRecord, *, request_id: str | None = None) -> None:
        credentials.add_credential(self._tables.credentials, record, request_id)

    async def get_credential(self, project_id: str, reference: str) -> CredentialRecord | None:
        return credentials.get_credential(self._tables.credentials, project_id, reference)

    async def list_credentials(
        self,
        project_id: str,
        *,
        limit: int,
        cursor: str | None = None,
        kind: str | None = None,
        name: str | None = None,
    ) -> CredentialsPage:
        return credentials.list_credentials(self._tables.credentials, project_id, limit, cursor, kind, name)

    async def update_credential(self, record: CredentialRecord, *, expected: CredentialRecord) -> None:
        credentials.update_credential(self._tables.credentials, record, expected)

    async def delete_credential(self, project_id: str, credential_id: str) -> bool:
        return credentials.delete_credential(self._tables.credentials, project_id, credential_id)

    async def list_key_ids(self) -> frozenset[str]:
        return frozenset(one.sealed.key_id for one in self._tables.credentials.credentials.values())

    async def list_wrapped_otherwise(self, key_id: str, *, limit: int) -> list[CredentialRecord]:
        return credentials.list_wrapped_otherwise(self._tables.credentials, key_id, limit)

    async def rewrap_credential(self, record: CredentialRecord, sealed: Sealed) -> bool:
        return credentials.rewrap_credential(self._tables.credentials, record, sealed)

    async def add_credential_use(self, use: CredentialUse) -> None:
        refuse_unstorable_use(use)
        self._tables.credentials.add_uses([use])

    async def list_credential_uses(
        self, project_id: str, credential_id: str, *, limit: int, cursor: str | None = None
    ) -> UsesPage:
        return credentials.list_uses(self._tables.credentials, project_id, credential_id, limit, cursor)

    async def delete_old_uses(self, before: datetime) -> None:
        credentials.delete_old_uses(self._tables.credentials, before)

    async def add_credential_request(self, request: CredentialRequest, *, open_max: int = REQUESTS_OPEN_MAX) -> None:
        credentials.add_request(self._tables.credentials, request, open_max)

    async def get_credential_request(self, token_hash: str) -> CredentialRequest | None:
        return credentials.get_request(self._tables.credentials, token_hash)

    async def close(self) -> None:
        """Nothing to let go of; the memory goes with the store."""

    def _known(self, project_id: str, workflow_id: str) -> WorkflowRecord:
        workflow = self._workflows.get(workflow_id)
        if workflow is None or workflow.project_id != project_id:
            raise WorkflowNotFound(workflow_id=workflow_id)
        return workflow


def _page(rows: Iterable[T], limit: int, cursor: str | None) -> Page[T]:
    found = sorted((row for row in rows if cursor is None or row.id < cursor), key=lambda row: row.id, reverse=True)
    return Page(tuple(found[:limit]), found[limit - 1].id if len(found) > limit else None)


def _frozen(version: VersionRecord) -> VersionRecord:
    # A copy, as a database would give: what the caller does to its document later must not change an immutable save.
    return replace(version, document=orjson.loads(orjson.dumps(version.document)))
