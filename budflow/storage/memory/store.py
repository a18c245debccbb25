"""Everything in this process's memory: what `budflow run` uses, and what the other adapters are compared with."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Protocol, TypeVar

import orjson

from budflow.execution.ports import JournalWrite
from budflow.model.event import StoredEvent
from budflow.model.execution import TERMINAL, Claim, Execution, Status
from budflow.model.principal import DEFAULT_PROJECT
from budflow.model.workflow import (
    VersionConflict,
    VersionNotFound,
    VersionRecord,
    WebhookRoute,
    WebhookTaken,
    WorkflowNotFound,
    WorkflowRecord,
)
from budflow.services.ports import Page
from budflow.storage.errors import WriteConflict
from budflow.storage.rows import refuse_unstorable
from budflow.storage.settle import Admission, Head, Write, ids_of, settle


class _HasId(Protocol):
    @property
    def id(self) -> str: ...


T = TypeVar("T", bound=_HasId)


class MemoryStore:
    """Meets budflow.services.ports.Store; nothing outlives the process. No method awaits, so each is atomic."""

    def __init__(self) -> None:
        self._executions: dict[str, Execution] = {}
        self._journals: defaultdict[str, list[StoredEvent]] = defaultdict(list)
        self._workflows: dict[str, WorkflowRecord] = {}
        self._versions: defaultdict[str, list[VersionRecord]] = defaultdict(list)
        self._webhooks: dict[tuple[str, str], WebhookRoute] = {}

    async def admit(self, execution: Execution, events: Sequence[StoredEvent]) -> None:
        self._write(Admission(execution, tuple(events)))

    async def append(self, write: JournalWrite) -> None:
        self._write(write)

    async def claim(self, runner: str, *, limit: int) -> list[tuple[Claim, Execution]]:
        queued = [execution for execution in self._executions.values() if execution.status == "queued"]
        claims = []
        for execution in sorted(queued, key=lambda e: (-e.priority, e.id))[:limit]:
            leased = replace(execution, status="running", runner=runner, token=execution.token + 1)
            self._executions[execution.id] = leased
            claims.append((Claim(leased.id, runner, leased.token), leased))
        return claims

    async def get_execution(self, project_id: str, execution_id: str) -> Execution | None:
        execution = self._executions.get(execution_id)
        return execution if execution is not None and execution.project_id == project_id else None

    async def read_events(
        self, project_id: str, execution_id: str, *, after: int = -1, limit: int = 10_000
    ) -> list[StoredEvent]:
        if await self.get_execution(project_id, execution_id) is None:
            return []
        return self._journals[execution_id][after + 1 : after + 1 + limit]

    async def request_cancel(self, project_id: str, execution_id: str, ended: StoredEvent) -> Execution | None:
        execution = await self.get_execution(project_id, execution_id)
        if execution is None or execution.status in TERMINAL:
            return execution
        if execution.status == "queued":
            journal = self._journals[execution_id]
            journal.append(replace(ended, seq=len(journal)))
            execution = replace(execution, status="cancelled", finished_at=ended.at)
        else:
            execution = replace(execution, cancelling=True)
        self._executions[execution_id] = execution
        return execution

    async def cancelling(self, runner: str) -> list[str]:
        return sorted(e.id for e in self._executions.values() if e.cancelling and e.runner == runner)

    async def count_queued(self) -> int:
        return sum(execution.status == "queued" for execution in self._executions.values())

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
                for execution in self._executions.values()
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
        self, project_id: str, workflow_id: str, version: int | None, routes: Sequence[WebhookRoute]
    ) -> WorkflowRecord:
        workflow = self._known(project_id, workflow_id)
        if version is not None and await self.get_version(project_id, workflow_id, version) is None:
            raise VersionNotFound(version=version)
        if len({(route.method, route.shape) for route in routes}) < len(routes):
            raise WriteConflict("Two of the workflow's webhooks have the same method and path.")
        for route in routes:
            holder = self._webhooks.get((route.method, route.shape))
            if holder is not None and holder.workflow_id != workflow_id:
                raise WebhookTaken(
                    f"{holder.method} {holder.path} belongs to another workflow.",
                    method=holder.method,
                    path=holder.path,
                    workflow_id=holder.workflow_id,
                )
        self._disarm(workflow_id)
        self._webhooks.update({(route.method, route.shape): route for route in routes})
        self._workflows[workflow_id] = replace(workflow, published_version=version)
        return self._workflows[workflow_id]

    async def delete_workflow(self, project_id: str, workflow_id: str) -> bool:
        if await self.get_workflow(project_id, workflow_id) is None:
            return False
        self._disarm(workflow_id)
        del self._workflows[workflow_id]  # Its versions stay: executions are read by them.
        return True

    async def list_webhooks(self) -> list[WebhookRoute]:
        return [route for _, route in sorted(self._webhooks.items())]

    async def close(self) -> None:
        """Nothing to let go of; the memory goes with the store."""

    def _write(self, write: Write) -> None:
        heads = {
            id_: Head(row.project_id, row.status, row.token, len(self._journals[id_]))
            for id_ in ids_of([write])
            if (row := self._executions.get(id_)) is not None
        }
        settled = settle([write], heads)
        [refusal] = settled.outcomes
        if refusal is not None:
            raise refusal
        for execution in settled.inserted:
            self._executions[execution.id] = execution
        for id_, change in settled.changed.items():
            self._executions[id_] = change.on(self._executions[id_])
        for id_, _, event in settled.events:
            self._journals[id_].append(event)

    def _known(self, project_id: str, workflow_id: str) -> WorkflowRecord:
        workflow = self._workflows.get(workflow_id)
        if workflow is None or workflow.project_id != project_id:
            raise WorkflowNotFound(workflow_id=workflow_id)
        return workflow

    def _disarm(self, workflow_id: str) -> None:
        self._webhooks = {key: route for key, route in self._webhooks.items() if route.workflow_id != workflow_id}


def _page(rows: Iterable[T], limit: int, cursor: str | None) -> Page[T]:
    found = sorted((row for row in rows if cursor is None or row.id < cursor), key=lambda row: row.id, reverse=True)
    return Page(tuple(found[:limit]), found[limit - 1].id if len(found) > limit else None)


def _frozen(version: VersionRecord) -> VersionRecord:
    # A copy, as a database would give: what the caller does to its document later must not change an immutable save.
    return replace(version, document=orjson.loads(orjson.dumps(version.document)))
