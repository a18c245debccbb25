"""Armed schedules in SQL, the same for SQLite and PostgreSQL."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, TypeVar

import orjson
from sqlalchemy import Connection, Select, delete, func, insert, select, tuple_, update

from budflow.model.armed_schedule import ArmedSchedule, FiredSlot, Refusal, ScheduleRoute, armed_anew
from budflow.model.failure import Failure
from budflow.model.schedule import Schedule
from budflow.services.schedule_ports import DueSchedules, ListedSchedule, SchedulesPage
from budflow.storage.rows import Row, from_micros, refuse_unstorable, to_micros
from budflow.storage.schedule_slots import delete_old_slots, find_slots
from budflow.storage.schema import schedule_slots, schedules
from budflow.storage.streams import database_now

T = TypeVar("T")


class _Read(Protocol):
    def __call__(self, query: Callable[..., T], *args: Any) -> Awaitable[T]: ...


class _Write(Protocol):
    def __call__(self, operation: Callable[[Connection], T], /) -> Awaitable[T]: ...


class SqlSchedules:
    """Meets budflow.services.schedule_ports.ScheduleStore, with the transactions of the store that it belongs to."""

    def __init__(self, write: _Write, read: _Read) -> None:
        self._write, self._read = write, read

    async def find_due(self, *, limit: int, now: datetime | None = None) -> DueSchedules:
        return await self._read(_find_due, limit, now)

    async def settle(self, armed: ArmedSchedule, settled: ArmedSchedule) -> bool:
        return await self._write(lambda conn: _settle(conn, armed, settled))

    async def list_armed(
        self, project_id: str, *, limit: int, cursor: str | None = None, workflow_id: str | None = None
    ) -> SchedulesPage:
        return await self._read(_list_armed, project_id, limit, cursor, workflow_id)

    async def get_armed(self, project_id: str, workflow_id: str, node: str) -> ListedSchedule | None:
        return await self._read(_get_armed, project_id, workflow_id, node)

    async def fired_slots(self, workflow_id: str, node: str, slots: Collection[datetime]) -> Mapping[datetime, str]:
        return await self._read(_fired_slots, workflow_id, node, slots)

    async def delete_old_slots(self, before: datetime) -> None:
        await self._write(lambda conn: delete_old_slots(conn, before))


def arm(conn: Connection, workflow_id: str, routes: Sequence[ScheduleRoute]) -> None:
    """Replace the armed schedules of a workflow, in the transaction that publishes it."""
    found = conn.execute(select(*schedules.c).where(schedules.c.workflow_id == workflow_id).with_for_update())
    before = {row["node"]: armed_of(row) for row in found.mappings()}
    if before:
        disarm(conn, workflow_id)
    if routes:
        now = from_micros(database_now(conn))
        conn.execute(insert(schedules), [armed_values(armed_anew(route, before, now)) for route in routes])


def disarm(conn: Connection, workflow_id: str) -> None:
    """Let no schedule start the workflow any more."""
    conn.execute(delete(schedules).where(schedules.c.workflow_id == workflow_id))


def armed_values(armed: ArmedSchedule) -> dict[str, Any]:
    """The row of an armed schedule."""
    route = armed.route
    return {
        "workflow_id": route.workflow_id,
        "node": route.node,
        "project_id": route.project_id,
        "version": route.version,
        "rule": orjson.dumps(route.schedule.to_json()).decode(),
        **_progress(armed),
    }


def armed_of(row: Row) -> ArmedSchedule:
    """A row of `schedules` as its record."""
    schedule = Schedule.from_json(orjson.loads(row["rule"]))
    route = ScheduleRoute(row["project_id"], row["workflow_id"], row["version"], row["node"], schedule)
    due, refused = row["due_at"], row["refused"]
    return ArmedSchedule(
        route,
        from_micros(row["settled_until"]),
        None if due is None else from_micros(due),
        None if refused is None else _refusal(orjson.loads(refused)),
    )


def _find_due(conn: Connection, limit: int, now: datetime | None) -> DueSchedules:
    c = schedules.c
    at = database_now(conn) if now is None else to_micros(now)
    rows = conn.execute(select(*c).where(c.due_at <= at).order_by(c.due_at).limit(limit)).mappings()
    due = tuple(armed_of(row) for row in rows)
    following = conn.execute(select(func.min(c.due_at)).where(c.due_at > at)).scalar_one()
    return DueSchedules(from_micros(at), due, None if following is None else from_micros(following))


def _settle(conn: Connection, armed: ArmedSchedule, settled: ArmedSchedule) -> bool:
    c, route = schedules.c, armed.route
    done = conn.execute(
        update(schedules)
        .where(
            c.workflow_id == route.workflow_id,
            c.node == route.node,
            c.version == route.version,
            c.settled_until == to_micros(armed.settled_until),
        )
        .values(_progress(settled))
    )
    return done.rowcount == 1


def _list_armed(
    conn: Connection, project_id: str, limit: int, cursor: str | None, workflow_id: str | None
) -> SchedulesPage:
    refuse_unstorable(cursor=cursor, workflow_id=workflow_id)
    c = schedules.c
    wanted = _with_last().where(c.project_id == project_id)
    if workflow_id is not None:
        wanted = wanted.where(c.workflow_id == workflow_id)
    if cursor is not None:
        seen, _, node = cursor.partition("/")
        wanted = wanted.where(tuple_(c.workflow_id, c.node) > (seen, node))
    rows = conn.execute(wanted.order_by(c.workflow_id, c.node).limit(limit + 1)).mappings().all()
    listed = _listed(conn, rows[:limit])
    return SchedulesPage(listed, listed[-1].armed.route.origin if len(rows) > limit else None)


def _get_armed(conn: Connection, project_id: str, workflow_id: str, node: str) -> ListedSchedule | None:
    refuse_unstorable(workflow_id=workflow_id, node=node)
    c = schedules.c
    wanted = _with_last().where(c.workflow_id == workflow_id, c.node == node, c.project_id == project_id)
    listed = _listed(conn, conn.execute(wanted).mappings().all())
    return listed[0] if listed else None


def _fired_slots(conn: Connection, workflow_id: str, node: str, slots: Collection[datetime]) -> Mapping[datetime, str]:
    found = find_slots(conn, [(workflow_id, node, to_micros(slot)) for slot in slots]) if slots else {}
    return {from_micros(micros): execution_id for (_, _, micros), execution_id in found.items()}


def _with_last() -> Select[Any]:
    """The columns, and the newest slot that has started an execution: by the index, however many there were."""
    c, s = schedules.c, schedule_slots.c
    newest = select(func.max(s.slot)).where(s.workflow_id == c.workflow_id, s.node == c.node)
    return select(*c, newest.scalar_subquery().label("newest"))


def _listed(conn: Connection, rows: Sequence[Row]) -> tuple[ListedSchedule, ...]:
    names = [(row["workflow_id"], row["node"], row["newest"]) for row in rows]
    fired = find_slots(conn, wanted) if (wanted := [name for name in names if name[2] is not None]) else {}
    return tuple(
        ListedSchedule(armed_of(row), FiredSlot(from_micros(name[2]), fired[name]) if name in fired else None)
        for row, name in zip(rows, names, strict=True)
    )


def _progress(armed: ArmedSchedule) -> dict[str, Any]:
    due, refused = armed.due_at, armed.refused
    return {
        "settled_until": to_micros(armed.settled_until),
        "due_at": None if due is None else to_micros(due),
        "refused": None if refused is None else _refusal_text(refused),
    }


def _refusal_text(refused: Refusal) -> str:
    shape = {
        "slot": to_micros(refused.slot),
        "at": to_micros(refused.at),
        "failure": refused.failure.to_json(),
    }
    # What a workflow's author wrote may be in the message, and PostgreSQL takes no NUL: in JSON it is written out.
    return orjson.dumps(shape).decode()


def _refusal(shape: Mapping[str, Any]) -> Refusal:
    return Refusal(from_micros(shape["slot"]), from_micros(shape["at"]), Failure(**shape["failure"]))
