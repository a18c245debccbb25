"""Leases in SQL: the rows of runners, and giving back what dead ones held.

Each function takes a connection inside a transaction of the caller; PostgreSQL runs them through `run_sync`.
"""

import os
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import Connection, bindparam, delete, func, insert, select, text, update

from budflow.model.event import NO_PROGRESS
from budflow.model.execution import RunnerKind
from budflow.model.identity import utc_now
from budflow.services.ports import RunnerRow
from budflow.storage.fairness import takeover
from budflow.storage.rows import from_micros, to_micros
from budflow.storage.schema import events, executions, runners
from budflow.storage.streams import RUNNING, SQLITE, database_now

#: The end of a lease that ends with its process, which no time foretells.
NO_END = to_micros(datetime.max.replace(tzinfo=UTC))

# A living runner holds an advisory lock on the key in its row; one that could be taken is held by nobody. It ends with
# the transaction, and the key is never used again: who comes back after a cut connection has a new one.
_DELETE_DEAD = text(
    """WITH known AS MATERIALIZED (
        SELECT id, lease_until, lock_key FROM runners WHERE id <> :runner FOR UPDATE SKIP LOCKED)
    DELETE FROM runners WHERE id IN (
        SELECT id FROM known WHERE lease_until < :now OR lock_key IS NOT NULL AND pg_try_advisory_xact_lock(lock_key))
    RETURNING id"""
)


def runner_values(runner: str, kind: RunnerKind, details: Mapping[str, Any] | None) -> dict[str, Any]:
    """The row of a runner in this process, but for its lease."""
    return {
        "id": runner,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "started_at": to_micros(utc_now()),
        "kind": kind,
        "details": orjson.dumps(dict(details or {})).decode(),
    }


def add_runner(conn: Connection, values: dict[str, Any]) -> None:
    """Insert a runner's row, or replace what is left of one with its id."""
    delete_runner(conn, values["id"])
    conn.execute(insert(runners).values(values))


def delete_runner(conn: Connection, runner: str) -> None:
    """Forget a runner; what it still holds is given back by the next `release_dead`."""
    conn.execute(delete(runners).where(runners.c.id == runner))


def count_runners(conn: Connection) -> int:
    """How many runners have a row, without those that said that they claim nothing."""
    found = conn.execute(select(runners.c.details)).scalars()
    return sum(orjson.loads(details).get("claims", True) for details in found)


def list_runners(conn: Connection) -> list[RunnerRow]:
    """Every runner that has a row, with what it holds."""
    c, r = executions.c, runners.c
    held = (
        select(
            c.runner,
            func.count().label("running"),
            func.count().filter(c.takeovers > 0).label("taken_over"),
        )
        .where(RUNNING)
        .group_by(c.runner)
        .subquery()
    )
    rows = conn.execute(
        select(r.id, r.host, r.pid, r.started_at, r.lease_until, r.kind, r.details, held.c.running, held.c.taken_over)
        .outerjoin(held, held.c.runner == r.id)
        .order_by(r.id)
    )
    return [
        RunnerRow(
            row.id,
            row.host,
            row.pid,
            from_micros(row.started_at),
            None if row.lease_until >= NO_END else from_micros(row.lease_until),
            row.running or 0,
            row.taken_over or 0,
            row.kind,
            orjson.loads(row.details),
        )
        for row in rows
    ]


def release_dead(conn: Connection, runner: str) -> list[str]:
    """Give back what is held by the dead, and by those that have no row; returns them.

    Of one SQLite file every other runner is dead, since the caller's process is its only owner.
    """
    now = database_now(conn)
    if conn.dialect.name == SQLITE:
        gone = conn.execute(delete(runners).where(runners.c.id != runner).returning(runners.c.id))
    else:
        gone = conn.execute(_DELETE_DEAD, {"runner": runner, "now": now})
    return sorted({*gone.scalars(), *_give_back(conn, runner, now)})


def _give_back(conn: Connection, runner: str, now: int) -> set[str]:
    """Queue everything whose runner has no row; returns those runners.

    One statement decides who has a row and who holds what. Its rows are locked without waiting, so a zombie's write
    and this never wait for each other, and only where the token is still the one that the statement saw.
    """
    c, e = executions.c, events.c
    orphans = (
        select(c.id, c.token).where(RUNNING, c.runner != runner, c.runner.not_in(select(runners.c.id))).cte("orphans")
    )
    last_seq = (
        select(func.coalesce(func.max(e.seq), -1))
        .where(e.execution_id == c.id, e.type.not_in(NO_PROGRESS))
        .scalar_subquery()
    )
    rows = conn.execute(
        select(c.id, c.runner, c.token, c.takeovers, c.progress_seq, last_seq.label("last_seq"))
        .join(orphans, orphans.c.id == c.id)
        .where(c.token == orphans.c.token, RUNNING)
        .with_for_update(of=executions, skip_locked=True)
    ).all()
    if not rows:
        return set()
    changes = []
    for row in rows:
        takeovers, not_before = takeover(row.takeovers, row.progress_seq, row.last_seq, now)
        changes.append({"of": row.id, "takeovers": takeovers, "progress_seq": row.last_seq, "not_before": not_before})
    conn.execute(
        update(executions)
        .where(c.id == bindparam("of"))
        .values(
            status="queued",
            runner=None,
            token=c.token + 1,
            takeovers=bindparam("takeovers"),
            progress_seq=bindparam("progress_seq"),
            not_before=bindparam("not_before"),
        ),
        changes,
    )
    return {row.runner for row in rows}
