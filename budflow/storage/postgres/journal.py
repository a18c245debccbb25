"""The hot path in PostgreSQL: journal writes that wait together share one transaction and a few round trips."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from budflow.errors import BudflowError
from budflow.storage.payload import Pack
from budflow.storage.rows import execution_values
from budflow.storage.schema import events, executions
from budflow.storage.settle import Head, Write, change_values, event_values, ids_of, settle

# Locked in the order of ids, so that two servers never wait for each other in a circle. The last seq is what was there
# before a wait for the lock; should a rival with the same token have written meanwhile, the key refuses the repeat.
_HEADS = """
SELECT e.id, e.project_id, e.status, e.token, (SELECT max(seq) FROM events WHERE execution_id = e.id)
FROM executions AS e WHERE e.id = ANY($1::text[]) ORDER BY e.id FOR UPDATE OF e
"""
_CHANGE = """
UPDATE executions AS e
SET status = coalesce(c.status, e.status), failure = coalesce(c.failure, e.failure),
    started_at = coalesce(e.started_at, c.started_at), finished_at = coalesce(c.finished_at, e.finished_at),
    cancelling = e.cancelling AND NOT c.ended
FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::boolean[])
    AS c (id, status, failure, started_at, finished_at, ended)
WHERE e.id = c.id
"""
_TYPES = {"TEXT": "text", "INTEGER": "int", "BIGINT": "bigint", "BOOLEAN": "boolean", "SMALLINT": "smallint"}


def _insert(table: str, types: dict[str, str]) -> str:
    arrays = ", ".join(f"${i}::{type_}[]" for i, type_ in enumerate(types.values(), 1))
    return f"INSERT INTO {table} ({', '.join(types)}) SELECT * FROM unnest({arrays})"  # noqa: S608 - names of the schema


_EXECUTIONS = _insert("executions", {column.name: _TYPES[str(column.type)] for column in executions.c})
_EVENTS = _insert("events", {column.name: _TYPES.get(str(column.type), "bytea") for column in events.c})


def write_group(conn: Connection, writes: Sequence[Write], pack: Pack) -> list[BudflowError | None]:
    """Write what may be written; `outcomes[i]` is why write `i` was left out, or None."""
    rows = conn.exec_driver_sql(_HEADS, (sorted(set(ids_of(writes))),))
    heads = {
        id_: Head(project_id, status, token, 0 if last is None else last + 1)
        for id_, project_id, status, token, last in rows
    }
    settled = settle(writes, heads)
    if settled.inserted:
        conn.exec_driver_sql(_EXECUTIONS, _columns([execution_values(execution) for execution in settled.inserted]))
    if settled.changed:
        conn.exec_driver_sql(_CHANGE, _columns(change_values(settled)))
    if settled.events:
        conn.exec_driver_sql(_EVENTS, _columns(event_values(settled, pack)))
    return settled.outcomes


def _columns(rows: list[tuple[Any, ...]]) -> tuple[list[Any], ...]:
    return tuple(list(column) for column in zip(*rows, strict=True))
