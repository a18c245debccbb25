"""What a group of writes reads and writes beside rows and journals, the same for SQLite and PostgreSQL.

Most groups do none of this: then not one statement is executed here.
"""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, and_, bindparam, func, select, text, true, union_all, update

from budflow.execution.records import Rest
from budflow.storage.blob_rows import write_blob_refs
from budflow.storage.executions import clear, wake
from budflow.storage.payload import Pack
from budflow.storage.rows import to_micros
from budflow.storage.schedule_slots import find_schedules, find_slots, write_slots
from budflow.storage.schema import executions
from budflow.storage.settle import Settled
from budflow.storage.signals import find_signals, write_signals
from budflow.storage.static_data import write_static
from budflow.storage.trigger_keys import find_keys, write_keys
from budflow.storage.waits import write_waits
from budflow.storage.writes import Known, Write, limits_of, resting_of, slots_of, trigger_keys_of


def find_groups(conn: Connection, writes: Sequence[Write]) -> dict[str, dict[str, bool]]:
    """`Known.groups`, which is to be found before the heads: they have those of its executions that may have to go."""
    keys = {limit.key for limit in limits_of(writes)}
    groups: dict[str, dict[str, bool]] = {}
    if keys:
        c = executions.c
        awaited = and_(c.parent_execution_id.is_not(None), func.coalesce(c.parent_awaited, true()))
        member = select(c.id, c.limit_key, awaited).where(c.limit_key.in_(sorted(keys)))
        # Each condition is that of a partial index, to the letter.
        parts = [member.where(text(status)) for status in ("status = 'queued'", "status IN ('running', 'waiting')")]
        for id_, key, awaits in sorted(tuple(row) for row in conn.execute(union_all(*parts))):
            groups.setdefault(key, {})[id_] = bool(awaits)
    return groups


def displaceable(writes: Sequence[Write], groups: dict[str, dict[str, bool]]) -> list[str]:
    """The executions of those groups from which the oldest may have to go: their heads are to be read too."""
    keys = {limit.key for limit in limits_of(writes) if limit.policy == "cancel_oldest"}
    return [id_ for key in keys for id_ in groups.get(key, ())]


def look_up(conn: Connection, writes: Sequence[Write], known: Known) -> None:
    """Add to `known` what may be read only after the rows are locked."""
    keys, slots, resting = trigger_keys_of(writes), slots_of(writes), resting_of(writes)
    if keys:
        known.keys = find_keys(conn, keys)
    if slots:
        known.slots = find_slots(conn, slots)
        known.schedules = find_schedules(conn, {(workflow_id, node) for workflow_id, node, _ in slots})
    if resting:
        known.signals = find_signals(conn, resting)


def write_attachments(conn: Connection, settled: Settled, pack: Pack) -> None:
    """Write what goes with the rows and events of the group, which are written already."""
    attachments = settled.attachments
    write_blob_refs(conn, settled)
    if settled.keys:
        write_keys(conn, settled.keys, settled.expired)
    if settled.slots:
        write_slots(conn, settled.slots)
    if attachments.cleared:
        clear(conn, attachments.cleared)
    if attachments.closed or attachments.opened:
        write_waits(conn, attachments)
    if attachments.consumed or attachments.signals:
        write_signals(conn, attachments, pack)
    if attachments.rested:
        _rest(conn, attachments.rested)
    if attachments.flagged:
        conn.execute(update(executions).where(executions.c.id.in_(attachments.flagged)).values(cancelling=true()))
    if attachments.due:
        wake(conn, attachments.due)
    if attachments.static:
        write_static(conn, attachments.static)


def _rest(conn: Connection, rested: Mapping[str, Rest]) -> None:
    c = executions.c
    given_back = (
        update(executions)
        .where(c.id == bindparam("resting"))
        .values(
            status="waiting",
            waiting=bindparam("reason"),
            wake_at=bindparam("until"),
            runner=None,
            token=c.token + 1,
        )
    )
    rows = [
        {"resting": id_, "reason": rest.reason, "until": None if rest.wake_at is None else to_micros(rest.wake_at)}
        for id_, rest in rested.items()
    ]
    conn.execute(given_back, rows)
