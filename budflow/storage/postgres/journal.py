"""The hot path in PostgreSQL: journal writes that wait together share one transaction and a few round trips."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection

from budflow.errors import BudflowError
from budflow.storage.attachments import Attachments
from budflow.storage.group import displaceable, find_groups, look_up, write_attachments
from budflow.storage.payload import Pack
from budflow.storage.rows import execution_values
from budflow.storage.schema import credential_uses, events, executions
from budflow.storage.settle import Settled, change_values, credential_use_values, event_values, settle
from budflow.storage.writes import (
    Head,
    Known,
    Write,
    limits_of,
    resting_of,
    slots_of,
    stored_ids_of,
    trigger_keys_of,
)

# Locked in the order of ids, so that two servers never wait for each other in a circle. The last seq is what was there
# before a wait for the lock; should a rival with the same token have written meanwhile, the key refuses the repeat.
_HEADS = """
SELECT e.id, e.project_id, e.status, e.token, (SELECT max(seq) FROM events WHERE execution_id = e.id), e.cancelling
FROM executions AS e WHERE e.id = ANY($1::text[]) ORDER BY e.id FOR UPDATE OF e
"""
# What ended loses its attachments here and not by `Attachments.cleared`: the heads would not show a signal that was
# added during the wait for the lock, while this statement sees it.
_CHANGED = """c AS (
    SELECT * FROM unnest({arrays}) AS c (id, status, failure, started_at, finished_at, ended)
), cleared_signals AS (
    DELETE FROM signals AS s USING c WHERE c.ended AND s.execution_id = c.id
), cleared_waits AS (
    DELETE FROM waits AS w USING c WHERE c.ended AND w.execution_id = c.id
), cleared_snapshots AS (
    DELETE FROM snapshots AS s USING c WHERE c.ended AND s.execution_id = c.id
)"""
_CHANGE = """UPDATE executions AS e
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


_COLUMNS = {
    "executions": {column.name: _TYPES[str(column.type)] for column in executions.c},
    "events": {column.name: _TYPES.get(str(column.type), "bytea") for column in events.c},
    "credential_uses": {column.name: _TYPES[str(column.type)] for column in credential_uses.c if column.name != "id"},
}
_CHANGED_TYPES = ("text", "text", "text", "bigint", "bigint", "boolean")

#: A statement with its values, each a column of the rows.
Statement = tuple[str, tuple[list[Any], ...]]


@cache
def _statement(tables: tuple[str, ...], changes: bool) -> str:
    """One statement for all rows, old and new: every round trip counts when a webhook waits for its commit."""
    parts: list[str] = []
    first = 1
    for table in tables:
        columns = _COLUMNS[table]
        parts.append(
            f"INSERT INTO {table} ({', '.join(columns)}) SELECT * FROM unnest({_arrays(columns.values(), first)})"  # noqa: S608 - names of the schema
        )
        first += len(columns)
    last = _CHANGE if changes else parts.pop()
    named = [f"part_{number} AS ({part})" for number, part in enumerate(parts)]
    if changes:
        named.append(_CHANGED.format(arrays=_arrays(_CHANGED_TYPES, first)))
    return f"WITH {', '.join(named)} {last}" if named else last


def _arrays(types: Iterable[str], first: int) -> str:
    return ", ".join(f"${number}::{type_}[]" for number, type_ in enumerate(types, first))


def insertion_of(writes: Sequence[Write], pack: Pack) -> Statement | None:
    """The one statement that the group comes to, where it only adds executions that nobody knows yet; else None."""
    looked_up = (
        stored_ids_of(writes),
        limits_of(writes),
        trigger_keys_of(writes),
        slots_of(writes),
        resting_of(writes),
    )
    if any(some for wanted in looked_up for some in wanted):
        return None
    settled = settle(writes, Known())
    more = settled.changed or settled.attachments != Attachments() or any(settled.with_blobs())
    if more or any(settled.outcomes) or not settled.inserted:
        return None
    [statement] = _statements(settled, pack)
    return statement


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
    for statement, values in _statements(settled, pack):
        conn.exec_driver_sql(statement, values)
    write_attachments(conn, settled, pack)
    return settled.outcomes


def _statements(settled: Settled, pack: Pack) -> Iterator[Statement]:
    """One, or two where a row is changed that is new: a statement does not see what it inserts itself."""
    new = {
        "executions": [execution_values(execution) for execution in settled.inserted],
        "events": event_values(settled, pack),
        "credential_uses": credential_use_values(settled),
    }
    tables = tuple(table for table, rows in new.items() if rows)
    inserted = tuple(column for table in tables for column in _columns(new[table]))
    changed = _columns(change_values(settled)) if settled.changed else ()
    if tables and changed and any(execution.id in settled.changed for execution in settled.inserted):
        yield _statement(tables, changes=False), inserted
        yield _statement((), changes=True), changed
    elif tables or changed:
        yield _statement(tables, changes=bool(changed)), (*inserted, *changed)


def _columns(rows: list[tuple[Any, ...]]) -> tuple[list[Any], ...]:
    return tuple(list(column) for column in zip(*rows, strict=True))
