"""The hot path in SQLite: a group of journal writes in a handful of statements, however many writes there are.

Few statements matter beyond SQLite's own time: every step of one lets go of the interpreter lock, and a thread that
wants it back from a busy event loop waits for up to 5 ms.
"""

from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import Connection

from budflow.errors import BudflowError
from budflow.storage.payload import Pack
from budflow.storage.rows import execution_values
from budflow.storage.schema import events, executions
from budflow.storage.settle import Head, Write, change_values, event_values, ids_of, settle

# One row with all heads, because every row would be a step of its own.
_HEADS = """
SELECT json_group_array(json_array(e.id, e.project_id, e.status, e.token,
                                   (SELECT max(seq) FROM events WHERE execution_id = e.id)))
FROM json_each(?) AS wanted JOIN executions AS e ON e.id = wanted.value
"""
_CHANGE = """
UPDATE executions SET status = coalesce(?2, status), failure = coalesce(?3, failure),
    started_at = coalesce(started_at, ?4), finished_at = coalesce(?5, finished_at), cancelling = cancelling AND NOT ?6
WHERE id = ?1
"""
_ROWS_MAX = (64, 16, 4, 1)  # Few sizes, so that every statement stays in the connection's cache of prepared ones.


def write_group(conn: Connection, writes: Sequence[Write], pack: Pack) -> list[BudflowError | None]:
    """Write what may be written; `outcomes[i]` is why write `i` was left out, or None."""
    heads_json = conn.exec_driver_sql(_HEADS, (orjson.dumps(list(set(ids_of(writes)))).decode(),)).scalar_one()
    heads = {
        id_: Head(project_id, status, token, 0 if last is None else last + 1)
        for id_, project_id, status, token, last in orjson.loads(heads_json)
    }
    settled = settle(writes, heads)
    _insert(conn, _EXECUTIONS, [execution_values(execution) for execution in settled.inserted])
    if settled.changed:
        conn.exec_driver_sql(_CHANGE, change_values(settled))
    _insert(conn, _EVENTS, event_values(settled, pack))
    return settled.outcomes


def _statements(table: str, columns: Sequence[str]) -> dict[int, str]:
    row = f"({', '.join('?' * len(columns))})"
    into = f"INSERT INTO {table} ({', '.join(columns)}) VALUES "  # noqa: S608 - names of the schema
    return {rows: into + ", ".join([row] * rows) for rows in _ROWS_MAX}


_EXECUTIONS = _statements("executions", executions.c.keys())
_EVENTS = _statements("events", events.c.keys())


def _insert(conn: Connection, statements: dict[int, str], rows: list[tuple[Any, ...]]) -> None:
    start = 0
    for size in _ROWS_MAX:
        while len(rows) - start >= size:
            chunk = rows[start : start + size]
            conn.exec_driver_sql(statements[size], tuple(value for row in chunk for value in row))
            start += size
