"""Workflows, versions and armed webhooks in SQL; each function takes a connection inside a transaction."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Select, delete, insert, select, tuple_, update

from budflow.model.armed_schedule import ScheduleRoute
from budflow.model.workflow import (
    VersionConflict,
    VersionNotFound,
    VersionRecord,
    WebhookRoute,
    WebhookTaken,
    WorkflowNotFound,
    WorkflowRecord,
)
from budflow.services.ports import Page, TriggerRoute
from budflow.storage import schedules
from budflow.storage.rows import (
    refuse_unstorable,
    route_of,
    route_values,
    to_micros,
    version_of,
    version_values,
    workflow_of,
    workflow_values,
)
from budflow.storage.schema import webhooks, workflow_versions, workflows


def add_workflow(conn: Connection, workflow: WorkflowRecord, version: VersionRecord) -> None:
    """Insert a workflow with its first version."""
    refuse_unstorable(name=workflow.name)
    conn.execute(insert(workflows).values(workflow_values(workflow)))
    conn.execute(insert(workflow_versions).values(version_values(version)))


def add_version(conn: Connection, version: VersionRecord, name: str, expected_version: int) -> WorkflowRecord:
    """Insert the next version and rename the workflow."""
    refuse_unstorable(name=name)
    row = _lock(conn, version.project_id, version.workflow_id)
    if row["latest_version"] != expected_version:
        raise VersionConflict(
            f"The latest version is {row['latest_version']}, not {expected_version}.",
            latest_version=row["latest_version"],
            expected_version=expected_version,
        )
    conn.execute(insert(workflow_versions).values(version_values(version)))
    change = {
        "name": name,
        "name_folded": name.casefold(),
        "latest_version": version.version,
        "updated_at": to_micros(version.created_at),
    }
    conn.execute(update(workflows).where(workflows.c.id == version.workflow_id).values(change))
    return workflow_of({**row, **change})


def get_workflow(conn: Connection, project_id: str, workflow_id: str) -> WorkflowRecord | None:
    """One workflow, when it is in this project."""
    row = conn.execute(_one(project_id, workflow_id)).mappings().first()
    return None if row is None else workflow_of(row)


def get_version(conn: Connection, project_id: str, workflow_id: str, version: int) -> VersionRecord | None:
    """One version, when its workflow is in this project."""
    wanted = _versions(project_id, workflow_id).where(workflow_versions.c.version == version)
    row = conn.execute(wanted).mappings().first()
    return None if row is None else version_of(row)


def list_workflows(
    conn: Connection, project_id: str, limit: int, cursor: str | None, name: str | None
) -> Page[WorkflowRecord]:
    """One page, newest first."""
    c = workflows.c
    wanted = select(*c).where(c.project_id == project_id)
    if name is not None:
        refuse_unstorable(name=name)
        wanted = wanted.where(c.name_folded.contains(name.casefold(), autoescape=True))
    if cursor is not None:
        wanted = wanted.where(c.id < cursor)
    rows = conn.execute(wanted.order_by(c.id.desc()).limit(limit + 1)).mappings()
    found = [workflow_of(row) for row in rows]
    return Page(tuple(found[:limit]), found[limit - 1].id if len(found) > limit else None)


def list_versions(conn: Connection, project_id: str, workflow_id: str) -> list[VersionRecord]:
    """Every version, newest first."""
    wanted = _versions(project_id, workflow_id).order_by(workflow_versions.c.version.desc())
    return [version_of(row) for row in conn.execute(wanted).mappings()]


def publish(
    conn: Connection, project_id: str, workflow_id: str, version: int | None, armed: Sequence[TriggerRoute]
) -> WorkflowRecord:
    """Set the published version and replace the armed webhooks and schedules."""
    routes = [route for route in armed if isinstance(route, WebhookRoute)]
    row = _lock(conn, project_id, workflow_id)
    if version is not None and get_version(conn, project_id, workflow_id, version) is None:
        raise VersionNotFound(version=version)
    c = webhooks.c
    wanted = tuple_(c.method, c.shape).in_([(route.method, route.shape) for route in routes])
    taken = conn.execute(select(*c).where(wanted, c.workflow_id != workflow_id)).mappings().first()
    if taken is not None:
        raise WebhookTaken(
            f"{taken['method']} {taken['path']} belongs to another workflow.",
            method=taken["method"],
            path=taken["path"],
            workflow_id=taken["workflow_id"],
        )
    conn.execute(delete(webhooks).where(c.workflow_id == workflow_id))
    if routes:
        conn.execute(insert(webhooks), [route_values(route) for route in routes])
    schedules.arm(conn, workflow_id, [route for route in armed if isinstance(route, ScheduleRoute)])
    conn.execute(update(workflows).where(workflows.c.id == workflow_id).values(published_version=version))
    return workflow_of({**row, "published_version": version})


def delete_workflow(conn: Connection, project_id: str, workflow_id: str) -> bool:
    """Remove a workflow and what is armed of it; its executions stay, and the versions that they are read by."""
    if conn.execute(_one(project_id, workflow_id).with_for_update()).first() is None:
        return False
    conn.execute(delete(webhooks).where(webhooks.c.workflow_id == workflow_id))
    schedules.disarm(conn, workflow_id)
    conn.execute(delete(workflows).where(workflows.c.id == workflow_id))
    return True


def list_webhooks(conn: Connection) -> list[WebhookRoute]:
    """Every armed webhook of every project."""
    wanted = select(*webhooks.c).order_by(webhooks.c.method, webhooks.c.shape)
    return [route_of(row) for row in conn.execute(wanted).mappings()]


def _one(project_id: str, workflow_id: str) -> Select[Any]:
    return select(*workflows.c).where(workflows.c.id == workflow_id, workflows.c.project_id == project_id)


def _versions(project_id: str, workflow_id: str) -> Select[Any]:
    c = workflow_versions.c
    return select(*c).where(c.workflow_id == workflow_id, c.project_id == project_id)


def _lock(conn: Connection, project_id: str, workflow_id: str) -> dict[str, Any]:
    row = conn.execute(_one(project_id, workflow_id).with_for_update()).mappings().first()
    if row is None:
        raise WorkflowNotFound(workflow_id=workflow_id)
    return dict(row)
