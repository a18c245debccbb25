"""What the use cases need stored beside the executions: workflows, versions, armed webhooks, lists of executions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

from budflow.execution.ports import ExecutionStore
from budflow.model.armed_schedule import ScheduleRoute
from budflow.model.execution import Execution, RunnerKind, Status
from budflow.model.workflow import VersionRecord, WebhookRoute, WorkflowRecord
from budflow.services.cluster_ports import ClusterStore
from budflow.services.credential_ports import CredentialStore
from budflow.services.leader_ports import LeaderStore
from budflow.services.retention import RetentionStore
from budflow.services.schedule_ports import ScheduleStore

T = TypeVar("T")
#: A trigger to be armed.
TriggerRoute = WebhookRoute | ScheduleRoute


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Part of a list; `next_cursor` continues it and is None at the end."""

    items: tuple[T, ...]
    next_cursor: str | None


class WorkflowStore(Protocol):
    """Workflows with their immutable versions, and the webhooks of the published ones."""

    async def add_workflow(self, workflow: WorkflowRecord, version: VersionRecord) -> None:
        """Insert a workflow with its first version."""
        ...

    async def add_version(self, version: VersionRecord, *, name: str, expected_version: int) -> WorkflowRecord:
        """Insert the next version (number `expected_version + 1`, already set in `version`) and rename the workflow.

        Raises VersionConflict when the latest version is not `expected_version`, WorkflowNotFound when there is none.
        """
        ...

    async def get_workflow(self, project_id: str, workflow_id: str) -> WorkflowRecord | None: ...

    async def get_version(self, project_id: str, workflow_id: str, version: int) -> VersionRecord | None: ...

    async def list_workflows(
        self, project_id: str, *, limit: int, cursor: str | None = None, name: str | None = None
    ) -> Page[WorkflowRecord]:
        """Newest first; `name` keeps those whose name contains it, in any case. The cursor is the last id seen."""
        ...

    async def list_versions(self, project_id: str, workflow_id: str) -> list[VersionRecord]:
        """Newest first."""
        ...

    async def publish(
        self, project_id: str, workflow_id: str, version: int | None, routes: Sequence[TriggerRoute]
    ) -> WorkflowRecord:
        """Make `version` the published one (None: none) and replace the workflow's armed triggers by `routes`.

        A schedule that has the same slots as the one before at its node goes on from where that was; any other begins
        now, by the database's time.
        Raises WebhookTaken (details: method, path, workflow_id) when another workflow holds one of them,
        WorkflowNotFound when there is none; then nothing changes.
        """
        ...

    async def delete_workflow(self, project_id: str, workflow_id: str) -> bool:
        """Remove the workflow and its armed triggers. False when there is none.

        Its executions stay, and its versions with them: executions are read, and go on, by their version.
        """
        ...

    async def list_webhooks(self) -> list[WebhookRoute]:
        """Every armed webhook of every project."""
        ...


@dataclass(frozen=True, slots=True)
class RunnerRow:
    """A runner that is known as living. `lease_until` is None where the lease only ends with the process.

    It is advancing `running` executions, `taken_over` of them from runners that died. `details` are for people: what
    the runner told of itself.
    """

    id: str
    host: str
    pid: int
    started_at: datetime
    lease_until: datetime | None
    running: int
    taken_over: int
    kind: RunnerKind = "main"
    details: Mapping[str, Any] = field(default_factory=dict)


class Store(ExecutionStore, WorkflowStore, RetentionStore, CredentialStore, LeaderStore, Protocol):
    """All of it, in one database."""

    @property
    def cluster(self) -> ClusterStore:
        """Figures of all that share it."""
        ...

    @property
    def schedules(self) -> ScheduleStore:
        """The armed schedules."""
        ...

    async def get_server_key(self, name: str) -> bytes:
        """32 random bytes that all servers of this database share; made when first asked for."""
        ...

    async def list_runners(self) -> list[RunnerRow]:
        """Every runner that holds a lease, by id."""
        ...

    async def list_executions(
        self,
        project_id: str,
        *,
        limit: int,
        cursor: str | None = None,
        workflow_id: str | None = None,
        status: Status | None = None,
    ) -> Page[Execution]:
        """Newest first. The cursor is the last id seen."""
        ...

    async def close(self) -> None:
        """Finish what is being written and let go of the database."""
        ...


class TriggerTable(Protocol):
    """The armed triggers of this process."""

    async def refresh(self) -> None:
        """Read again what is published; called after publishing, so that a webhook answers at once."""
        ...
