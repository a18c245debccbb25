"""Between records of the model and rows of the tables, the same for SQLite and PostgreSQL."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from budflow.execution.records import OpenWait, Signal
from budflow.model.event import StoredEvent
from budflow.model.execution import Execution, Limit, Origin, Parent
from budflow.model.failure import Failure
from budflow.model.workflow import VersionRecord, WebhookRoute, WorkflowRecord
from budflow.storage.errors import TextRefused
from budflow.storage.payload import unpack

#: A row by column; SQLAlchemy's own rows are such mappings, and naming them here would load SQLAlchemy.
Row = Mapping[Any, Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


#: The `wake_at` of what is due now.
DUE = _EPOCH


def to_micros(at: datetime) -> int:
    """Microseconds since 1970; exact, unlike a float of seconds."""
    return (at - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """The reverse of `to_micros`, in UTC."""
    return _EPOCH + timedelta(microseconds=micros)


def is_storable(text: str) -> bool:
    """Whether the text is without NUL and halves of surrogate pairs."""
    if "\x00" in text:
        return False
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def refuse_unstorable(**texts: str | None) -> None:
    """Raise TextRefused where a text cannot be a PostgreSQL text; SQLite refuses the same, so that stores can move."""
    for name, value in texts.items():
        if value is not None and not is_storable(value):
            raise TextRefused(f"The {name} holds NUL or half of a surrogate pair.", field=name)


def json_text(name: str, value: Any) -> str:
    """A value as JSON text; `name` is what it is called in the TextRefused that it raises for what is no JSON."""
    try:
        return orjson.dumps(value, default=_plain, option=orjson.OPT_NON_STR_KEYS).decode()
    except orjson.JSONEncodeError as error:
        raise TextRefused(f"The {name} is not JSON: {error}.", field=name) from error


def failure_text(failure: Failure | None) -> str | None:
    """A failure as JSON text."""
    return None if failure is None else orjson.dumps(failure.to_json()).decode()


def execution_values(execution: Execution) -> tuple[Any, ...]:
    """The values of an execution's row, in the order of the table's columns."""
    started, finished, parent = execution.started_at, execution.finished_at, execution.parent
    wake, origin, limit = execution.wake_at, execution.origin, execution.limit
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
        execution.waiting,
        None if wake is None else to_micros(wake),
        execution.takeovers,
        -1,  # progress_seq and not_before: set by takeovers alone.
        None,
        *((None, None, None) if origin is None else (origin.execution_id, origin.kind, origin.node)),
        execution.scope,
        *((None, None, None) if limit is None else (limit.key, limit.running_max, limit.policy)),
        None if parent is None else parent.awaited,
        execution.traceparent,
    )


def execution_of(row: Row) -> Execution:
    """A row of `executions` as its record."""
    started, finished, failure, wake = row["started_at"], row["finished_at"], row["failure"], row["wake_at"]
    origin, limit = row["origin_execution_id"], row["limit_key"]
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
        parent=_parent_of(row),
        runner=row["runner"],
        token=row["token"],
        failure=None if failure is None else Failure(**orjson.loads(failure)),
        waiting=row["waiting"],
        wake_at=None if wake is None else from_micros(wake),
        takeovers=row["takeovers"],
        origin=None if origin is None else Origin(origin, row["origin_kind"], row["origin_node"]),
        scope=row["scope"],
        limit=None if limit is None else Limit(limit, row["limit_max"], row["limit_policy"]),
        traceparent=row["traceparent"],
    )


def event_of(row: Sequence[Any]) -> StoredEvent:
    """(seq, type, version, at, encoding, payload) as an event."""
    seq, type_, version, at, encoding, payload = row
    return StoredEvent(seq, type_, version, from_micros(at), unpack(encoding, payload))


def signal_values(
    execution_id: str, key: str, project_id: str, event: StoredEvent, packed: tuple[int, bytes]
) -> dict[str, Any]:
    """The row of a signal, with its payload as `pack` gave it."""
    return {
        "execution_id": execution_id,
        "key": key,
        "project_id": project_id,
        "type": event.type,
        "version": event.version,
        "at": to_micros(event.at),
        "encoding": packed[0],
        "payload": packed[1],
    }


def signal_of(row: Row) -> Signal:
    """A row of `signals` as its record."""
    return Signal(
        row["execution_id"],
        row["key"],
        event_of((0, row["type"], row["version"], row["at"], row["encoding"], row["payload"])),
    )


def wait_values(wait: OpenWait) -> dict[str, Any]:
    """The row of an open wait."""
    return {
        "execution_id": wait.execution_id,
        "key": wait.key,
        "project_id": wait.project_id,
        "node": wait.node,
        "reason": wait.reason,
        "opened_at": to_micros(wait.opened_at),
        "until": None if wait.until is None else to_micros(wait.until),
        "ask": json_text("ask", wait.ask),
        "answered": wait.answered,
    }


def wait_of(row: Row) -> OpenWait:
    """A row of `waits` as its record."""
    return OpenWait(
        execution_id=row["execution_id"],
        project_id=row["project_id"],
        key=row["key"],
        node=row["node"],
        reason=row["reason"],
        opened_at=from_micros(row["opened_at"]),
        until=None if row["until"] is None else from_micros(row["until"]),
        ask=orjson.loads(row["ask"]),
        answered=bool(row["answered"]),
    )


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


def _parent_of(row: Row) -> Parent | None:
    if row["parent_execution_id"] is None:
        return None
    awaited = row["parent_awaited"]  # Null in rows from before there was a choice.
    return Parent(
        row["parent_execution_id"],
        row["parent_node"],
        row["parent_call"],
        row["depth"],
        True if awaited is None else bool(awaited),
    )


def _plain(value: object) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple):
        return list(value)
    raise TypeError(f"{type(value).__name__} is not JSON")
