"""Removing executions and forgetting blobs in SQL; each function takes a connection inside a transaction."""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, delete, exists, func, not_, select, tuple_, update

from budflow.services.retention import Expired, Pruned
from budflow.storage.rows import to_micros
from budflow.storage.schema import blob_refs, blobs, events, executions, signals, snapshots, waits

#: So many events at most are removed in one transaction.
EVENTS_MAX = 5_000
LIVE = ("queued", "running", "waiting")

_ENDED = executions.c.finished_at.is_not(None)  # To the letter the condition of the partial index.


def ended_workflows(conn: Connection) -> list[tuple[str, str]]:
    """Every project and workflow with an ended execution: one seek in the index for each."""
    c = executions.c
    found: list[tuple[str, str]] = []
    after = ("", "")
    while True:
        row = conn.execute(
            select(c.project_id, c.workflow_id)
            .where(_ENDED, tuple_(c.project_id, c.workflow_id) > after)
            .order_by(c.project_id, c.workflow_id)
            .limit(1)
        ).first()
        if row is None:
            return found
        after = (row[0], row[1])
        found.append(after)


def newest_to_prune(conn: Connection, project_id: str, workflow_id: str, kept: int) -> str | None:
    """The newest ended execution beyond so many."""
    c = executions.c
    found: str | None = conn.execute(
        select(c.id)
        .where(c.project_id == project_id, c.workflow_id == workflow_id, _ENDED)
        .order_by(c.id.desc())
        .offset(kept)
        .limit(1)
    ).scalar()
    return found


def prune_executions(conn: Connection, expired: Expired, limit: int, at: datetime) -> Pruned:
    """Remove some; of one with more events than may be removed at once, the last of them."""
    ids = _choose(conn, expired, limit)
    if not ids:
        return Pruned(0, more=False)
    c = events.c
    last = select(c.execution_id, func.max(c.seq)).where(c.execution_id.in_(ids)).group_by(c.execution_id)
    sizes = {row[0]: row[1] + 1 for row in conn.execute(last)}
    fitting: list[str] = []
    room = EVENTS_MAX
    for id_ in ids:
        room -= sizes.get(id_, 0)
        if room < 0:
            break
        fitting.append(id_)
    if not fitting:
        first = ids[0]
        conn.execute(delete(events).where(c.execution_id == first, c.seq >= sizes[first] - EVENTS_MAX))
        return Pruned(0, more=True)
    _remove(conn, fitting, at)
    return Pruned(len(fitting), more=len(ids) == limit or len(fitting) < len(ids))


def unused_blobs(conn: Connection, before: datetime, limit: int) -> list[tuple[str, str]]:
    """The blobs that are unused for longest."""
    c = blobs.c
    rows = conn.execute(
        select(c.project_id, c.sha256)
        .where(c.unused_since.is_not(None), c.unused_since < to_micros(before))
        .order_by(c.unused_since)
        .limit(limit)
    )
    return [(project_id, sha256) for project_id, sha256 in rows]


def forget_blob(conn: Connection, project_id: str, sha256: str, before: datetime) -> bool:
    """Remove the row of a blob that is unused, looked at once more."""
    c = blobs.c
    gone = conn.execute(
        delete(blobs).where(
            c.project_id == project_id, c.sha256 == sha256, c.unused_since < to_micros(before), not_(_in_use())
        )
    )
    return bool(gone.rowcount)


def known_blobs(conn: Connection, wanted: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those that have a row."""
    c = blobs.c
    rows = conn.execute(select(c.project_id, c.sha256).where(tuple_(c.project_id, c.sha256).in_(sorted(wanted))))
    return {(project_id, sha256) for project_id, sha256 in rows}


def _choose(conn: Connection, expired: Expired, limit: int) -> list[str]:
    c = executions.c
    wanted: list[ColumnElement[bool]] = [
        c.project_id == expired.project_id,
        c.workflow_id == expired.workflow_id,
        c.status.in_(expired.statuses),
        _ENDED,
        *(not_(exists(one)) for one in _needed_by()),
    ]
    if expired.before is not None:
        wanted.append(c.finished_at < to_micros(expired.before))
    if expired.up_to is not None:
        wanted.append(c.id <= expired.up_to)
    order: Sequence[Any] = (c.id,) if expired.up_to is not None else (c.finished_at,)
    chosen = select(c.id).where(*wanted).order_by(*order).limit(limit).with_for_update(skip_locked=True)
    return list(conn.execute(chosen).scalars())


def _needed_by() -> Iterator[Select[Any]]:
    """Those that have not ended and have the execution as their parent, their origin or their child."""
    c, other = executions.c, executions.alias("other")
    # One each, not joined by OR: each has an index of its own.
    for tie in (
        other.c.parent_execution_id == c.id,
        other.c.origin_execution_id == c.id,
        other.c.id == c.parent_execution_id,
    ):
        yield select(other.c.id).where(other.c.status.in_(LIVE), tie).correlate(executions)


def _remove(conn: Connection, ids: Sequence[str], at: datetime) -> None:
    refs = select(blob_refs.c.project_id, blob_refs.c.sha256).where(blob_refs.c.execution_id.in_(ids)).distinct()
    referred = sorted((project_id, sha256) for project_id, sha256 in conn.execute(refs))
    for table in (events, snapshots, waits, signals, blob_refs):
        conn.execute(delete(table).where(table.c.execution_id.in_(ids)))
    conn.execute(delete(executions).where(executions.c.id.in_(ids)))
    if referred:
        c = blobs.c
        conn.execute(
            update(blobs)
            .where(tuple_(c.project_id, c.sha256).in_(referred), not_(_in_use()))
            .values(unused_since=to_micros(at))
        )


def _in_use() -> ColumnElement[bool]:
    c = blob_refs.c
    used = select(c.execution_id).where(c.project_id == blobs.c.project_id, c.sha256 == blobs.c.sha256)
    return exists(used.correlate(blobs))
