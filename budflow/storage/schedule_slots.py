"""Which slots of schedules have started an execution, in SQL; each function takes a connection inside a transaction."""

from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select, tuple_

from budflow.storage.rows import to_micros
from budflow.storage.schema import schedule_slots, schedules
from budflow.storage.settle import FiredBy
from budflow.storage.writes import KnownSchedule, SlotName


def find_slots(conn: Connection, wanted: Collection[SlotName]) -> dict[SlotName, str]:
    """Those of the slots that have started an execution, with its id."""
    c = schedule_slots.c
    rows = conn.execute(
        select(c.workflow_id, c.node, c.slot, c.execution_id).where(
            tuple_(c.workflow_id, c.node, c.slot).in_(sorted(wanted))
        )
    )
    return {(workflow_id, node, slot): execution_id for workflow_id, node, slot, execution_id in rows}


def find_schedules(conn: Connection, wanted: Collection[tuple[str, str]]) -> dict[tuple[str, str], KnownSchedule]:
    """Those of the schedules that are armed, by workflow and node."""
    c = schedules.c
    rows = conn.execute(
        select(c.workflow_id, c.node, c.version, c.settled_until).where(
            tuple_(c.workflow_id, c.node).in_(sorted(wanted))
        )
    )
    return {(workflow_id, node): KnownSchedule(version, settled) for workflow_id, node, version, settled in rows}


def write_slots(conn: Connection, slots: Mapping[SlotName, FiredBy]) -> None:
    """Insert the slots. A plain insert: one that a rival inserted since it was looked up must spoil the transaction."""
    rows = [
        {
            "workflow_id": workflow_id,
            "node": node,
            "slot": slot,
            "project_id": fired.project_id,
            "execution_id": fired.execution_id,
        }
        for (workflow_id, node, slot), fired in sorted(slots.items())
    ]
    conn.execute(insert(schedule_slots), rows)


def delete_old_slots(conn: Connection, before: datetime) -> None:
    """Forget the slots from before."""
    conn.execute(delete(schedule_slots).where(schedule_slots.c.slot < to_micros(before)))
