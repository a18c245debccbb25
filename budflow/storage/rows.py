"""Between records of the model and rows of the tables, the same for SQLite and PostgreSQL."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from budflow.model.event import StoredEvent
from budflow.model.execution import Execution, Parent
from budflow.model.failure import Failure
from budflow.model.workflow import VersionRecord, WebhookRoute, WorkflowRecord
from budflow.storage.errors import TextRefused
from budflow.storage.payload import unpack

#: A row by column; SQLAlchemy's own rows are such mappings, and naming them here would load SQLAlchemy.
Row = Mapping[Any, Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_micros(at: datetime) -> int:
    """Microseconds since 1970; exact, unlike a float of seconds."""
    return (at - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """The reverse of `to_micros`, in UTC."""
    return _EPOCH + timedelta(microseconds=micros)


def refuse_unstorable(**texts: str | None) -> None:
    """Raise TextRefused where a text cannot be a PostgreSQL text; SQLite refuses the same, so that stores can move."""
    for name, value in texts.items():
        if value is not None and ("\x00" in value or any("\ud800" <= character <= "\udfff" for character in value)):
            raise TextRefused(f"The {name} holds NUL or half of a surrogate pair.", field=name)


def failure_text(failure: Failure | None) -> str | None:
    """A failure as JSON text."""
    return None if failure is None else orjson.dumps(failure.to_json()).decode()


def execution_values(execution: Execution) -> tuple[Any, ...]:
    """The values of an execution's row, in the order of the table's columns."""
    started, finished, parent = execution.started_at, execution.finished_at, execution.parent
    return (
        execution.id,
        execution.project_id,
        execution.workflow_id,
        execution.version,
        execution.mode,
        execution.status,
        to_micros(execution.created_at),
        None if started is None else to_micros(started),
        None if finished is None else to_micros(finished),
        execution.cancelling,
        execution.priority,
        *(
            (None, None, None, None)
            if parent is None
            else (parent.execution_id, parent.node, parent.call, parent.depth)
        ),
        execution.runner,
        execution.token,
        failure_text(execution.failure),
    )


def execution_of(row: Row) -> Execution:
    """A row of `executions` as its record."""
    started, finished, failure = row["started_at"], row["finished_at"], row["failure"]
    parent = row["parent_execution_id"]
    return Execution(
        id=row["id"],
        project_id=row["project_id"],
        workflow_id=row["workflow_id"],
        version=row["version"],
        mode=row["mode"],
        status=row["status"],
        created_at=from_micros(row["created_at"]),
        started_at=None if started is None else from_micros(started),
        finished_at=None if finished is None else from_micros(finished),
        cancelling=bool(row["cancelling"]),
        priority=row["priority"],
        parent=None if parent is None else Parent(parent, row["parent_node"], row["parent_call"], row["depth"]),
        runner=row["runner"],
        token=row["token"],
        failure=None if failure is None else Failure(**orjson.loads(failure)),
    )


def event_of(row: Sequence[Any]) -> StoredEvent:
    """(seq, type, version, at, encoding, payload) as an event."""
    seq, type_, version, at, encoding, payload = row
    return StoredEvent(seq, type_, version, from_micros(at), unpack(encoding, payload))


def workflow_values(workflow: WorkflowRecord) -> dict[str, Any]:
    """The row of a workflow."""
    return {
        "id": workflow.id,
        "project_id": workflow.project_id,
        "name": workflow.name,
        "name_folded": workflow.name.casefold(),
        "latest_version": workflow.latest_version,
        "published_version": workflow.published_version,
        "created_at": to_micros(workflow.created_at),
        "updated_at": to_micros(workflow.updated_at),
    }


def workflow_of(row: Row) -> WorkflowRecord:
    """A row of `workflows` as its record."""
    return WorkflowRecord(
        id=row["id"],
        project_id=row["project_id"],
        name=row["name"],
        latest_version=row["latest_version"],
        published_version=row["published_version"],
        created_at=from_micros(row["created_at"]),
        updated_at=from_micros(row["updated_at"]),
    )


def version_values(version: VersionRecord) -> dict[str, Any]:
    """The row of a version; the document keeps the order of its keys."""
    return {
        "workflow_id": version.workflow_id,
        "version": version.version,
        "project_id": version.project_id,
        "document": orjson.dumps(version.document, default=_plain).decode(),
        "created_at": to_micros(version.created_at),
        "created_by": version.created_by,
    }


def version_of(row: Row) -> VersionRecord:
    """A row of `workflow_versions` as its record."""
    return VersionRecord(
        workflow_id=row["workflow_id"],
        project_id=row["project_id"],
        version=row["version"],
        document=orjson.loads(row["document"]),
        created_at=from_micros(row["created_at"]),
        created_by=row["created_by"],
    )


def route_values(route: WebhookRoute) -> dict[str, Any]:
    """The row of an armed webhook."""
    return {
        "method": route.method,
        "shape": route.shape,
        "project_id": route.project_id,
        "workflow_id": route.workflow_id,
        "version": route.version,
        "node": route.node,
        "path": route.path,
    }


def route_of(row: Row) -> WebhookRoute:
    """A row of `webhooks` as its record."""
    return WebhookRoute(
        project_id=row["project_id"],
        workflow_id=row["workflow_id"],
        version=row["version"],
        node=row["node"],
        method=row["method"],
        path=row["path"],
        shape=row["shape"],
    )


def _plain(value: object) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple):
        return list(value)
    raise TypeError(f"{type(value).__name__} is not JSON")
