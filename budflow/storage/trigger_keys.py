"""Idempotency keys of triggers in SQL; each function takes a connection inside a transaction of the caller."""

from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select, tuple_

from budflow.storage.rows import from_micros, to_micros
from budflow.storage.schema import trigger_keys
from budflow.storage.writes import KnownKey

Keys = Mapping[tuple[str, str], KnownKey]


def find_keys(conn: Connection, wanted: Collection[tuple[str, str]]) -> dict[tuple[str, str], KnownKey]:
    """What is stored of the keys, given and returned with their projects."""
    c = trigger_keys.c
    rows = conn.execute(
        select(c.project_id, c.key, c.fingerprint, c.execution_id, c.created_at).where(
            tuple_(c.project_id, c.key).in_(sorted(wanted))
        )
    )
    return {(project, key): KnownKey(print_, id_, from_micros(at)) for project, key, print_, id_, at in rows}


def write_keys(conn: Connection, keys: Keys, expired: Keys) -> None:
    """Insert the keys, those in `expired` in place of what is stored.

    A plain insert: a key that a rival stored since it was looked up must spoil the transaction.
    """
    c = trigger_keys.c
    if expired:
        old = sorted((*key, to_micros(known.created_at)) for key, known in expired.items())
        conn.execute(delete(trigger_keys).where(tuple_(c.project_id, c.key, c.created_at).in_(old)))
    rows = [
        {
            "project_id": project_id,
            "key": key,
            "fingerprint": known.fingerprint,
            "execution_id": known.execution_id,
            "created_at": to_micros(known.created_at),
        }
        for (project_id, key), known in sorted(keys.items())
    ]
    conn.execute(insert(trigger_keys), rows)


def delete_old_keys(conn: Connection, before: datetime) -> None:
    """Forget the keys that came in before."""
    conn.execute(delete(trigger_keys).where(trigger_keys.c.created_at < to_micros(before)))
