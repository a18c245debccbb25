"""Executions in SQL, apart from the hot path of appending and from claims: cancelling, lists and journals read back.

Each function takes a connection inside a transaction of the caller; PostgreSQL runs them through `run_sync`.
"""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, delete, func, insert, literal_column, select, true, update

from budflow.model.event import StoredEvent
from budflow.model.execution import TERMINAL, Execution, Status
from budflow.services.ports import Page
from budflow.storage.rows import DUE, event_of, execution_of, to_micros
from budflow.storage.schema import events, executions, signals, snapshots, waits


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
    """Flag a live execution, or end one that never began with `ended`, whose packed payload is `stored`.

    One that somebody waits for is flagged too: whoever takes it up tells the caller.
    """
    row = lock_execution(conn, project_id, execution_id)
    if row is None or row["status"] in TERMINAL:
        return None if row is None else execution_of(row)
    this = executions.c.id == execution_id
    if row["status"] != "queued" or row["started_at"] is not None or row["parent_awaited"]:
        flag: dict[str, Any] = {"cancelling": True}
        if row["status"] == "waiting":
            flag["wake_at"] = to_micros(DUE)
        conn.execute(update(executions).where(this).values(**flag))
        return execution_of({**row, **flag})
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
    clear(conn, [execution_id])
    return execution_of({**row, **end})


def list_cancelling(conn: Connection, runner: str) -> list[str]:
    """Those leased to `runner` that are to be cancelled."""
    c = executions.c
    return list(conn.execute(select(c.id).where(c.cancelling == true(), c.runner == runner).order_by(c.id)).scalars())


def count_queued(conn: Connection) -> int:
    """The length of the queue, of every project."""
    return conn.execute(_count("queued")).scalar_one()


def count_by_status(conn: Connection) -> dict[Status, int]:
    """How many executions of every project have not ended."""
    live: tuple[Status, ...] = ("queued", "running", "waiting")
    counts = conn.execute(select(*(_count(status).scalar_subquery() for status in live))).one()
    return dict(zip(live, counts, strict=True))


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


def lock_execution(conn: Connection, project_id: str, execution_id: str) -> RowMapping | None:
    """One row that nobody else changes until the transaction ends."""
    return conn.execute(_one(project_id, execution_id).with_for_update()).mappings().first()


def clear(conn: Connection, ended: Collection[str]) -> None:
    """Remove the waits, signals and snapshots of executions that have ended."""
    for table in (waits, signals, snapshots):
        conn.execute(delete(table).where(table.c.execution_id.in_(ended)))


def wake(conn: Connection, due: Collection[str]) -> None:
    """Let those that wait be claimed at once."""
    c = executions.c
    conn.execute(update(executions).where(c.id.in_(due), c.status == "waiting").values(wake_at=to_micros(DUE)))


def _count(status: Status) -> Select[int]:
    # Spelled out, not bound: the partial indexes by status serve only a condition that is known when it is planned.
    return select(func.count()).where(executions.c.status == literal_column(f"'{status}'"))


def _one(project_id: str, execution_id: str) -> Select[Any]:
    return select(*executions.c).where(executions.c.id == execution_id, executions.c.project_id == project_id)
