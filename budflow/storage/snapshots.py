"""Snapshots of journals in SQL; each function takes a connection inside a transaction of the caller."""

from sqlalchemy import Connection, select

from budflow.execution.records import Snapshot
from budflow.model.execution import TERMINAL, Claim
from budflow.storage.schema import executions, snapshots
from budflow.storage.upsert import upsert


def get_snapshot(conn: Connection, execution_id: str) -> Snapshot | None:
    """The newest of the execution."""
    c = snapshots.c
    row = conn.execute(select(c.seq, c.payload).where(c.execution_id == execution_id)).first()
    return None if row is None else Snapshot(row.seq, row.payload)


def put_snapshot(conn: Connection, claim: Claim, snapshot: Snapshot) -> None:
    """Replace it, unless the claim is lost or the execution has ended."""
    c = executions.c
    head = conn.execute(select(c.status, c.token).where(c.id == claim.execution_id).with_for_update()).first()
    if head is not None and head.token == claim.token and head.status not in TERMINAL:
        row = {"execution_id": claim.execution_id, "seq": snapshot.seq, "payload": snapshot.payload}
        conn.execute(upsert(snapshots), row)
