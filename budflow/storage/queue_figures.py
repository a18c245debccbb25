"""What is queued, running and waiting, and what passed through lately, in SQL: never by a look at all that has ended.

Each function takes a connection inside a transaction of the caller; PostgreSQL runs them through `run_sync`.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, cast

from sqlalchemy import BigInteger, Connection, bindparam, func, select, text

from budflow.execution.figures import StoreFigures
from budflow.model.execution import EndStatus, Status, WaitReason
from budflow.services.cluster_ports import Passed, QueueFigures
from budflow.storage.migrate import SCRIPTS
from budflow.storage.rows import from_micros, to_micros
from budflow.storage.schema import executions
from budflow.storage.streams import RUNNING

# The conditions are those of partial indexes, to the letter.
QUEUED_SQL = "SELECT priority, count(*), min(created_at) FROM executions WHERE status = 'queued' GROUP BY priority"
WAITING_SQL = "SELECT waiting, count(*) FROM executions WHERE status = 'waiting' GROUP BY waiting"
# `heads` has one ended execution of each project, workflow and status, found by jumps in the index `executions_ended`
# (a loose index scan); of each of them only the newest part of the index is counted. A jump is three steps, because
# SQLite uses no more than the first column of an index for an inequality of rows.
ENDED_SQL = """
WITH RECURSIVE heads (id) AS (
    SELECT (SELECT x.id FROM executions AS x WHERE x.finished_at IS NOT NULL
            ORDER BY x.project_id, x.workflow_id, x.status LIMIT 1)
    UNION ALL
    SELECT coalesce(
        (SELECT x.id FROM executions AS x WHERE x.finished_at IS NOT NULL AND x.project_id = e.project_id
         AND x.workflow_id = e.workflow_id AND x.status > e.status ORDER BY x.status LIMIT 1),
        (SELECT x.id FROM executions AS x WHERE x.finished_at IS NOT NULL AND x.project_id = e.project_id
         AND x.workflow_id > e.workflow_id ORDER BY x.workflow_id, x.status LIMIT 1),
        (SELECT x.id FROM executions AS x WHERE x.finished_at IS NOT NULL
         AND x.project_id > e.project_id ORDER BY x.project_id, x.workflow_id, x.status LIMIT 1))
    FROM heads JOIN executions AS e ON e.id = heads.id)
SELECT e.status, sum((SELECT count(*) FROM executions AS f WHERE f.finished_at IS NOT NULL
    AND f.project_id = e.project_id AND f.workflow_id = e.workflow_id AND f.status = e.status
    AND f.finished_at >= :since))
FROM heads JOIN executions AS e ON e.id = heads.id GROUP BY e.status"""

_ENDED = text(ENDED_SQL).bindparams(bindparam("since", type_=BigInteger))


class StoredFigures:
    """Meets ClusterStore, for a store that runs a function on one of its connections by `read`."""

    schema: str | None = SCRIPTS.head

    def __init__(self, read: Callable[..., Awaitable[Any]]) -> None:
        self._read = read
        self.figures = StoreFigures()

    async def ping(self) -> None:
        await self._read(ping)

    async def queue_figures(self) -> QueueFigures:
        return cast("QueueFigures", await self._read(queue_figures))

    async def count_passed(self, since: datetime) -> Passed:
        return cast("Passed", await self._read(count_passed, since))


def queue_figures(conn: Connection) -> QueueFigures:
    """Counted from the indexes of what has not ended."""
    queued = conn.execute(text(QUEUED_SQL)).all()
    waiting = conn.execute(text(WAITING_SQL)).all()
    running = conn.execute(select(func.count()).select_from(executions).where(RUNNING)).scalar_one()
    by_status: dict[Status, int] = {
        "queued": sum(count for _, count, _ in queued),
        "running": running,
        "waiting": sum(count for _, count in waiting),
    }
    return QueueFigures(
        by_status,
        {priority: count for priority, count, _ in sorted(tuple(row) for row in queued)},
        {cast("WaitReason", reason): count for reason, count in sorted(tuple(row) for row in waiting)},
        from_micros(min(oldest for _, _, oldest in queued)) if queued else None,
    )


def count_passed(conn: Connection, since: datetime) -> Passed:
    """Ids sort by their creation, so the newest are the end of the primary key."""
    admitted = conn.execute(select(func.count()).where(executions.c.id >= first_id(since))).scalar_one()
    ended = conn.execute(_ENDED, {"since": to_micros(since)})
    counted = {cast("EndStatus", status): int(count) for status, count in ended if count}
    return Passed(admitted, dict(sorted(counted.items())))


def first_id(since: datetime) -> str:
    """The smallest id that an execution may have that was made then: a UUIDv7 begins with its milliseconds."""
    return f"exe_{to_micros(since) // 1000:012x}"


def ping(conn: Connection) -> None:
    """As little as can be asked."""
    conn.execute(text("SELECT 1"))
