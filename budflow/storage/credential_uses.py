"""The audit of credentials in SQL; each function takes a connection inside a transaction of the caller.

What executions use is inserted by the journal modules of SQLite and PostgreSQL: it goes with the events.
"""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select, tuple_

from budflow.model.credential import CredentialUse
from budflow.services.credential_ports import UsesPage
from budflow.storage.credential_rows import behind, cursor_of, refuse_unstorable_use, use_of
from budflow.storage.rows import is_storable, to_micros
from budflow.storage.schema import credential_uses

#: How many uses one transaction removes: a few milliseconds in which nobody else writes.
USES_A_STEP = 1_000


def add_use(conn: Connection, use: CredentialUse) -> None:
    """Insert one that comes without an execution. Raises TextRefused."""
    refuse_unstorable_use(use)
    conn.execute(insert(credential_uses).values({**asdict(use), "used_at": to_micros(use.used_at)}))


def list_uses(conn: Connection, project_id: str, credential_id: str, limit: int, cursor: str | None) -> UsesPage:
    """One page, newest first."""
    if not is_storable(credential_id):
        return UsesPage((), None)
    c = credential_uses.c
    wanted = select(*c).where(c.project_id == project_id, c.credential_id == credential_id)
    if cursor is not None:
        wanted = wanted.where(tuple_(c.used_at, c.id) < behind(cursor))
    rows = conn.execute(wanted.order_by(c.used_at.desc(), c.id.desc()).limit(limit + 1)).mappings().all()
    last = rows[limit - 1] if len(rows) > limit else None
    return UsesPage(
        tuple(use_of(row) for row in rows[:limit]), None if last is None else cursor_of(last["used_at"], last["id"])
    )


def find_old_uses(conn: Connection, before: datetime) -> list[tuple[str, str]]:
    """Project and id of every credential with uses from before: one seek in the index for each credential."""
    c = credential_uses.c
    found: list[tuple[str, str]] = []
    after = ("", "")
    while True:
        row = conn.execute(
            select(c.project_id, c.credential_id, c.used_at)
            .where(tuple_(c.project_id, c.credential_id) > after)
            .order_by(c.project_id, c.credential_id, c.used_at)
            .limit(1)
        ).first()
        if row is None:
            return found
        after = (row[0], row[1])
        if row[2] < to_micros(before):
            found.append(after)


def delete_some_uses(conn: Connection, used: Sequence[tuple[str, str]], before: datetime) -> Sequence[tuple[str, str]]:
    """Remove the oldest uses from before of these credentials, as many as one transaction may; which are left."""
    c = credential_uses.c
    room = USES_A_STEP
    for position, (project_id, credential_id) in enumerate(used):
        oldest = (
            select(c.id)
            .where(c.project_id == project_id, c.credential_id == credential_id, c.used_at < to_micros(before))
            .order_by(c.used_at, c.id)
            .limit(room)
            .with_for_update(skip_locked=True)  # What another server is removing.
        )
        ids = list(conn.execute(oldest).scalars())
        if ids:
            conn.execute(delete(credential_uses).where(c.id.in_(ids)))
        room -= len(ids)
        if not room:
            return used[position:]
    return ()
