"""The hot path in PostgreSQL: journal writes that wait together share one transaction and a few round trips."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from budflow.errors import BudflowError
from budflow.storage.group import displaceable, find_groups, look_up, write_attachments
from budflow.storage.payload import Pack
from budflow.storage.rows import execution_values
from budflow.storage.schema import events, executions
from budflow.storage.settle import change_values, event_values, settle
from budflow.storage.writes import Head, Known, Write, limits_of, stored_ids_of

# Locked in the order of ids, so that two servers never wait for each other in a circle. The last seq is what was there
# before a wait for the lock; should a rival with the same token have written meanwhile, the key refuses the repeat.
_HEADS = """
SELECT e.id, e.project_id, e.status, e.token, (SELECT max(seq) FROM events WHERE execution_id = e.id), e.cancelling
FROM executions AS e WHERE e.id = ANY($1::text[]) ORDER BY e.id FOR UPDATE OF e
"""
# What ended loses its attachments here and not by `Attachments.cleared`: the heads would not show a signal that was
# added during the wait for the lock, while this statement sees it.
_CHANGE = """
WITH c AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::boolean[])
        AS c (id, status, failure, started_at, finished_at, ended)
), cleared_signals AS (
    DELETE FROM signals AS s USING c WHERE c.ended AND s.execution_id = c.id
), cleared_waits AS (
    DELETE FROM waits AS w USING c WHERE c.ended AND w.execution_id = c.id
), cleared_snapshots AS (
    DELETE FROM snapshots AS s USING c WHERE c.ended AND s.execution_id = c.id
)
UPDATE executions AS e
SET status = coalesce(c.status, e.status), failure = coalesce(c.failure, e.failure),
    started_at = coalesce(e.started_at, c.started_at), finished_at = coalesce(c.finished_at, e.finished_at),
    cancelling = e.cancelling AND NOT c.ended
FROM c WHERE e.id = c.id
"""
# Two servers must not find room in a group at the same time. Before all other locks, and in one order.
_LOCK_GROUPS = """
SELECT pg_advisory_xact_lock(hashtextextended(key, 0)) FROM unnest($1::text[]) AS key
"""
_TYPES = {"TEXT": "text", "INTEGER": "int", "BIGINT": "bigint", "BOOLEAN": "boolean", "SMALLINT": "smallint"}


def _insert(table: str, types: dict[str, str], first: int = 1) -> str:
    arrays = ", ".join(f"${i}::{type_}[]" for i, type_ in enumerate(types.values(), first))
    return f"INSERT INTO {table} ({', '.join(types)}) SELECT * FROM unnest({arrays})"  # noqa: S608 - names of the schema


_EXECUTION_TYPES = {column.name: _TYPES[str(column.type)] for column in executions.c}
_EVENT_TYPES = {column.name: _TYPES.get(str(column.type), "bytea") for column in events.c}
_EXECUTIONS = _insert("executions", _EXECUTION_TYPES)
_EVENTS = _insert("events", _EVENT_TYPES)
# One round trip for both: every one counts when a webhook waits for its commit.
_EXECUTIONS_AND_EVENTS = f"""
WITH inserted AS ({_EXECUTIONS}) {_insert("events", _EVENT_TYPES, len(_EXECUTION_TYPES) + 1)}
"""


def write_group(conn: Connection, writes: Sequence[Write], pack: Pack) -> list[BudflowError | None]:
    """Write what may be written; `outcomes[i]` is why write `i` was left out, or None."""
    limits = {limit.key for limit in limits_of(writes)}
    if limits:
        conn.exec_driver_sql(_LOCK_GROUPS, (sorted(limits),))
    known = Known(groups=find_groups(conn, writes))
    ids = {*stored_ids_of(writes), *displaceable(writes, known.groups)}
    rows = conn.exec_driver_sql(_HEADS, (sorted(ids),)) if ids else ()
    for id_, project_id, status, token, last, cancelling in rows:
        known.heads[id_] = Head(project_id, status, token, 0 if last is None else last + 1, cancelling)
    look_up(conn, writes, known)
    settled = settle(writes, known)
    inserted = _columns([execution_values(execution) for execution in settled.inserted])
    added = _columns(event_values(settled, pack))
    if inserted and added:
        conn.exec_driver_sql(_EXECUTIONS_AND_EVENTS, (*inserted, *added))
    elif inserted:
        conn.exec_driver_sql(_EXECUTIONS, inserted)
    elif added:
        conn.exec_driver_sql(_EVENTS, added)
    if settled.changed:
        conn.exec_driver_sql(_CHANGE, _columns(change_values(settled)))
    write_attachments(conn, settled, pack)
    return settled.outcomes


def _columns(rows: list[tuple[Any, ...]]) -> tuple[list[Any], ...]:
    return tuple(list(column) for column in zip(*rows, strict=True))
