"""Open waits in SQL; each function takes a connection inside a transaction of the caller."""

from sqlalchemy import Connection, delete, select, true, tuple_, update

from budflow.execution.records import OpenWait, Signal
from budflow.model.execution import TERMINAL, WaitClosed
from budflow.model.wait import WantedWaits
from budflow.storage.attachments import Attachments
from budflow.storage.executions import lock_execution
from budflow.storage.rows import refuse_unstorable, to_micros, wait_of, wait_values
from budflow.storage.schema import waits
from budflow.storage.signals import store_signal
from budflow.storage.upsert import upsert


def write_waits(conn: Connection, attachments: Attachments) -> None:
    """Remove what was closed, then add what was opened."""
    c = waits.c
    for execution_id, keys in attachments.closed.items():
        conn.execute(delete(waits).where(c.execution_id == execution_id, c.key.in_(sorted(keys))))
    rows = [wait_values(wait) for opened in attachments.opened.values() for wait in opened.values()]
    if rows:
        conn.execute(upsert(waits), rows)


def answer_wait(conn: Connection, project_id: str, signal: Signal, packed: tuple[int, bytes]) -> None:
    """Store the answer to a wait; `packed` is its event's payload. Raises WaitClosed, TextRefused."""
    refuse_unstorable(key=signal.key)
    row = lock_execution(conn, project_id, signal.execution_id)
    if row is None or row["status"] in TERMINAL:
        raise WaitClosed
    c = waits.c
    answered = conn.execute(
        update(waits)
        .where(c.execution_id == signal.execution_id, c.key == signal.key, ~c.answered)
        .values(answered=true())
    )
    if not answered.rowcount:
        raise WaitClosed
    store_signal(conn, project_id, signal, packed)


def list_waits(conn: Connection, project_id: str, wanted: WantedWaits, limit: int) -> list[OpenWait]:
    """The oldest waits of a project, as far as they are wanted."""
    c = waits.c
    found = select(*c).where(c.project_id == project_id)
    if wanted.execution_id is not None:
        found = found.where(c.execution_id == wanted.execution_id)
    if wanted.node is not None:
        found = found.where(c.node == wanted.node)
    if wanted.reasons:
        found = found.where(c.reason.in_(sorted(wanted.reasons)))
    if wanted.after is not None:
        opened_at, execution_id, key = wanted.after
        found = found.where(tuple_(c.opened_at, c.execution_id, c.key) > (to_micros(opened_at), execution_id, key))
    rows = conn.execute(found.order_by(c.opened_at, c.execution_id, c.key).limit(limit))
    return [wait_of(row) for row in rows.mappings()]
