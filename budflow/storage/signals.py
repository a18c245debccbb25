"""Signals in SQL: what came from outside for an execution, kept until its journal has it.

Each function takes a connection inside a transaction of the caller. The execution's row is locked first by whoever adds
a signal, so that one which is being given back either sees the signal or is seen to wait.
"""

from collections import defaultdict
from collections.abc import Collection

from sqlalchemy import Connection, delete, literal_column, select

from budflow.execution.records import Signal
from budflow.model.execution import TERMINAL, Execution, ExecutionEnded
from budflow.storage.attachments import Attachments
from budflow.storage.executions import lock_execution, wake
from budflow.storage.payload import Pack
from budflow.storage.rows import DUE, execution_of, refuse_unstorable, signal_of, signal_values, to_micros
from budflow.storage.schema import executions, signals
from budflow.storage.upsert import upsert

SIGNALS_MAX = 1000


def find_signals(conn: Connection, execution_ids: Collection[str]) -> dict[str, set[str]]:
    """The keys of the signals that are stored for the executions."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    c = signals.c
    for execution_id, key in conn.execute(select(c.execution_id, c.key).where(c.execution_id.in_(execution_ids))):
        found[execution_id].add(key)
    return dict(found)


def write_signals(conn: Connection, attachments: Attachments, pack: Pack) -> None:
    """Remove what was consumed, then add what was sent."""
    c = signals.c
    for execution_id, keys in attachments.consumed.items():
        conn.execute(delete(signals).where(c.execution_id == execution_id, c.key.in_(sorted(keys))))
    rows = [
        signal_values(execution_id, key, project_id, event, pack(event.payload))
        for execution_id, sent in attachments.signals.items()
        for key, (project_id, event) in sent.items()
    ]
    if rows:
        conn.execute(upsert(signals), rows)


def send_signal(conn: Connection, project_id: str, signal: Signal, packed: tuple[int, bytes]) -> Execution | None:
    """Store a signal for a live execution; `packed` is its event's payload. Raises ExecutionEnded, TextRefused."""
    refuse_unstorable(key=signal.key)
    row = lock_execution(conn, project_id, signal.execution_id)
    if row is None:
        return None
    if row["status"] in TERMINAL:
        raise ExecutionEnded(execution_id=signal.execution_id, status=row["status"])
    store_signal(conn, project_id, signal, packed)
    return execution_of({**row, "wake_at": to_micros(DUE)} if row["status"] == "waiting" else row)


def store_signal(conn: Connection, project_id: str, signal: Signal, packed: tuple[int, bytes]) -> None:
    """Add a signal for an execution that is locked, and wake it where it waits."""
    values = signal_values(signal.execution_id, signal.key, project_id, signal.event, packed)
    conn.execute(upsert(signals), values)
    wake(conn, [signal.execution_id])


def list_signals(conn: Connection, runner: str) -> list[Signal]:
    """The oldest of those for the executions of a runner."""
    c = signals.c
    rows = conn.execute(
        select(*c)
        .join(executions, executions.c.id == c.execution_id)
        .where(executions.c.runner == runner, executions.c.status == literal_column("'running'"))
        .order_by(c.at, c.execution_id, c.key)
        .limit(SIGNALS_MAX)
    )
    return [signal_of(row) for row in rows.mappings()]


def signals_of(conn: Connection, execution_id: str) -> list[Signal]:
    """Those for one execution, the oldest first."""
    c = signals.c
    rows = conn.execute(select(*c).where(c.execution_id == execution_id).order_by(c.at, c.key))
    return [signal_of(row) for row in rows.mappings()]
