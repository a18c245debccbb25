"""Removing executions and forgetting blobs in memory."""

from collections.abc import Collection
from datetime import datetime

from budflow.model.execution import TERMINAL, Execution
from budflow.services.retention import Expired, Pruned
from budflow.storage.memory.tables import Tables, clear


def ended_workflows(tables: Tables) -> list[tuple[str, str]]:
    """Every project and workflow with an ended execution."""
    return sorted({(row.project_id, row.workflow_id) for row in tables.executions.values() if row.status in TERMINAL})


def newest_to_prune(tables: Tables, project_id: str, workflow_id: str, kept: int) -> str | None:
    """The newest ended execution beyond so many."""
    ended = sorted(
        (
            row.id
            for row in tables.executions.values()
            if (row.project_id, row.workflow_id) == (project_id, workflow_id) and row.status in TERMINAL
        ),
        reverse=True,
    )
    return ended[kept] if len(ended) > kept else None


def prune_executions(tables: Tables, expired: Expired, limit: int, at: datetime) -> Pruned:
    """Remove some."""
    needed = _needed(tables)
    chosen = sorted((row for row in tables.executions.values() if _matches(row, expired)), key=lambda row: row.id)
    ids = [row.id for row in chosen if row.id not in needed][:limit]
    for id_ in ids:
        del tables.executions[id_]
        tables.journals.pop(id_, None)
        clear(tables, id_)
        for key in tables.blob_refs.pop(id_, set()):
            if not any(key in refs for refs in tables.blob_refs.values()):
                tables.blobs[key] = at
    return Pruned(len(ids), more=len(ids) == limit)


def unused_blobs(tables: Tables, before: datetime, limit: int) -> list[tuple[str, str]]:
    """The blobs that are unused for longest."""
    unused = sorted((since, key) for key, since in tables.blobs.items() if since is not None and since < before)
    return [key for _, key in unused[:limit]]


def forget_blob(tables: Tables, key: tuple[str, str], before: datetime) -> bool:
    """Forget a blob that is unused."""
    since = tables.blobs.get(key)
    if since is None or since >= before:
        return False
    del tables.blobs[key]
    return True


def known_blobs(tables: Tables, wanted: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those that are known."""
    return set(wanted) & tables.blobs.keys()


def _matches(row: Execution, expired: Expired) -> bool:
    return (
        (row.project_id, row.workflow_id) == (expired.project_id, expired.workflow_id)
        and row.status in expired.statuses
        and row.finished_at is not None
        and (expired.before is None or row.finished_at < expired.before)
        and (expired.up_to is None or row.id <= expired.up_to)
    )


def _needed(tables: Tables) -> set[str]:
    """The executions that one that has not ended has as its parent, origin or child."""
    needed: set[str] = set()
    for row in tables.executions.values():
        parent = None if row.parent is None else row.parent.execution_id
        if row.status not in TERMINAL:
            needed.update(id_ for id_ in (parent, row.origin and row.origin.execution_id) if id_)
        elif parent in tables.executions and tables.executions[parent].status not in TERMINAL:
            needed.add(row.id)
    return needed
