"""Executions in SQL, apart from the hot path of appending: claims, cancelling, lists and journals read back.

Each function takes a connection inside a transaction of the caller; PostgreSQL runs them through `run_sync`.
"""

from typing import Any

from sqlalchemy import Connection, Select, func, insert, select, true, update

from budflow.model.event import StoredEvent
from budflow.model.execution import TERMINAL, Claim, Execution, Status
from budflow.services.ports import Page
from budflow.storage.rows import event_of, execution_of, to_micros
from budflow.storage.schema import events, executions


def claim_executions(conn: Connection, runner: str, limit: int) -> list[tuple[Claim, Execution]]:
    """Lease queued executions; rows that another claimer has locked are passed over."""
    due = (
        select(executions.c.id)
        .where(executions.c.status == "queued")
        .order_by(executions.c.priority.desc(), executions.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("due")  # A locking CTE is evaluated once; as a plain subquery the planner might repeat it past the limit.
    )
    rows = conn.execute(
        update(executions)
        .where(executions.c.id.in_(select(due.c.id)))
        .values(status="running", runner=runner, token=executions.c.token + 1)
        .returning(*executions.c)
    ).mappings()
    taken = sorted((execution_of(row) for row in rows), key=lambda e: (-e.priority, e.id))
    return [(Claim(execution.id, runner, execution.token), execution) for execution in taken]


def get_execution(conn: Connection, project_id: str, execution_id: str) -> Execution | None:
    """One row, when it is in this project."""
    row = conn.execute(_one(project_id, execution_id)).mappings().first()
    return None if row is None else execution_of(row)


def read_events(conn: Connection, project_id: str, execution_id: str, after: int, limit: int) -> list[StoredEvent]:
    """A part of a journal, in order."""
    c = events.c
    rows = conn.execute(
        select(c.seq, c.type, c.version, c.at, c.encoding, c.payload)
        .where(c.execution_id == execution_id, c.project_id == project_id, c.seq > after)
        .order_by(c.seq)
        .limit(limit)
    )
    return [event_of(row) for row in rows]


def request_cancel(
    conn: Connection, project_id: str, execution_id: str, ended: StoredEvent, stored: tuple[int, bytes]
) -> Execution | None:
    """Flag a live execution, or end a queued one with `ended`, whose packed payload is `stored`."""
    row = conn.execute(_one(project_id, execution_id).with_for_update()).mappings().first()
    if row is None or row["status"] in TERMINAL:
        return None if row is None else execution_of(row)
    this = executions.c.id == execution_id
    if row["status"] != "queued":
        conn.execute(update(executions).where(this).values(cancelling=True))
        return execution_of({**row, "cancelling": True})
    last = conn.execute(select(func.max(events.c.seq)).where(events.c.execution_id == execution_id)).scalar()
    at = to_micros(ended.at)
    conn.execute(
        insert(events).values(
            execution_id=execution_id,
            seq=0 if last is None else last + 1,
            project_id=project_id,
            type=ended.type,
            version=ended.version,
            at=at,
            encoding=stored[0],
            payload=stored[1],
        )
    )
    end = {"status": "cancelled", "cancelling": False, "finished_at": at}
    conn.execute(update(executions).where(this).values(**end))
    return execution_of({**row, **end})


def list_cancelling(conn: Connection, runner: str) -> list[str]:
    """Those leased to `runner` that are to be cancelled."""
    c = executions.c
    return list(conn.execute(select(c.id).where(c.cancelling == true(), c.runner == runner).order_by(c.id)).scalars())


def count_queued(conn: Connection) -> int:
    """The length of the queue, of every project."""
    return conn.execute(select(func.count()).where(executions.c.status == "queued")).scalar_one()


def list_executions(
    conn: Connection, project_id: str, limit: int, cursor: str | None, workflow_id: str | None, status: Status | None
) -> Page[Execution]:
    """One page, newest first."""
    c = executions.c
    wanted = select(*c).where(c.project_id == project_id)
    if workflow_id is not None:
        wanted = wanted.where(c.workflow_id == workflow_id)
    if status is not None:
        wanted = wanted.where(c.status == status)
    if cursor is not None:
        wanted = wanted.where(c.id < cursor)
    rows = conn.execute(wanted.order_by(c.id.desc()).limit(limit + 1)).mappings()
    found = [execution_of(row) for row in rows]
    return Page(tuple(found[:limit]), found[limit - 1].id if len(found) > limit else None)


def _one(project_id: str, execution_id: str) -> Select[Any]:
    return select(*executions.c).where(executions.c.id == execution_id, executions.c.project_id == project_id)
