"""The hot path in SQLite: a group of journal writes in a handful of statements, however many writes there are.

Few statements matter beyond SQLite's own time: every step of one lets go of the interpreter lock, and a thread that
wants it back from a busy event loop waits for up to 5 ms.
"""

from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import Connection

from budflow.errors import BudflowError
from budflow.storage.group import displaceable, find_groups, look_up, write_attachments
from budflow.storage.payload import Pack
from budflow.storage.rows import execution_values
from budflow.storage.schema import credential_uses, events, executions
from budflow.storage.settle import change_values, credential_use_values, event_values, settle
from budflow.storage.writes import Head, Known, Write, stored_ids_of

# One row with all heads, because every row would be a step of its own.
_HEADS = """
SELECT json_group_array(json_array(e.id, e.project_id, e.status, e.token,
    (SELECT max(seq) FROM events WHERE execution_id = e.id), e.cancelling,
    EXISTS (SELECT 1 FROM signals WHERE execution_id = e.id) OR EXISTS (SELECT 1 FROM waits WHERE execution_id = e.id)
        OR EXISTS (SELECT 1 FROM snapshots WHERE execution_id = e.id)))
FROM json_each(?) AS wanted JOIN executions AS e ON e.id = wanted.value
"""
_CHANGE = """
UPDATE executions SET status = coalesce(?2, status), failure = coalesce(?3, failure),
    started_at = coalesce(started_at, ?4), finished_at = coalesce(?5, finished_at), cancelling = cancelling AND NOT ?6
WHERE id = ?1
"""
# Of one statement. There is one for every number of rows up to that: as many as the connection's cache keeps prepared.
_EXECUTIONS_MAX, _EVENTS_MAX, _USES_MAX = 32, 64, 32


def write_group(conn: Connection, writes: Sequence[Write], pack: Pack) -> list[BudflowError | None]:
    """Write what may be written; `outcomes[i]` is why write `i` was left out, or None."""
    known = Known(groups=find_groups(conn, writes))
    ids = {*stored_ids_of(writes), *displaceable(writes, known.groups)}
    heads_json = conn.exec_driver_sql(_HEADS, (orjson.dumps(list(ids)).decode(),)).scalar_one() if ids else "[]"
    for id_, project_id, status, token, last, cancelling, attached in orjson.loads(heads_json):
        next_seq = 0 if last is None else last + 1
        known.heads[id_] = Head(project_id, status, token, next_seq, bool(cancelling), bool(attached))
    look_up(conn, writes, known)
    settled = settle(writes, known)
    _insert(conn, _EXECUTIONS, [execution_values(execution) for execution in settled.inserted])
    if settled.changed:
        conn.exec_driver_sql(_CHANGE, change_values(settled))
    _insert(conn, _EVENTS, event_values(settled, pack))
    _insert(conn, _USES, credential_use_values(settled))
    write_attachments(conn, settled, pack)
    return settled.outcomes


def _statements(table: str, columns: Sequence[str], rows_max: int) -> Sequence[str]:
    row = f"({', '.join('?' * len(columns))})"
    into = f"INSERT INTO {table} ({', '.join(columns)}) VALUES "  # noqa: S608 - names of the schema
    return [into + ", ".join([row] * rows) for rows in range(1, rows_max + 1)]


_EXECUTIONS = _statements("executions", executions.c.keys(), _EXECUTIONS_MAX)
_EVENTS = _statements("events", events.c.keys(), _EVENTS_MAX)
_USES = _statements("credential_uses", credential_uses.c.keys()[1:], _USES_MAX)


def _insert(conn: Connection, statements: Sequence[str], rows: list[tuple[Any, ...]]) -> None:
    for start in range(0, len(rows), len(statements)):
        chunk = rows[start : start + len(statements)]
        conn.exec_driver_sql(statements[len(chunk) - 1], tuple(value for row in chunk for value in row))
