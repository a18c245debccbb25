"""Armed schedules in memory; budflow.storage.schedules does the same in SQL."""

from collections.abc import Collection, Mapping
from datetime import datetime

from budflow.model.armed_schedule import ArmedSchedule, FiredSlot
from budflow.model.identity import utc_now
from budflow.services.schedule_ports import DueSchedules, ListedSchedule, SchedulesPage
from budflow.storage.memory.tables import Tables
from budflow.storage.rows import from_micros, refuse_unstorable, to_micros


class MemorySchedules:
    """Meets budflow.services.schedule_ports.ScheduleStore."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def find_due(self, *, limit: int, now: datetime | None = None) -> DueSchedules:
        at = now or utc_now()
        by_time = sorted(
            ((one.due_at, one) for one in self._tables.schedules.values() if one.due_at is not None),
            key=lambda one: one[0],
        )
        due = [one for due_at, one in by_time if due_at <= at]
        return DueSchedules(at, tuple(due[:limit]), next((due_at for due_at, _ in by_time if due_at > at), None))

    async def settle(self, armed: ArmedSchedule, settled: ArmedSchedule) -> bool:
        name = (armed.route.workflow_id, armed.route.node)
        stored = self._tables.schedules.get(name)
        if stored is None or stored.route.version != armed.route.version:
            return False
        if stored.settled_until != armed.settled_until:
            return False
        self._tables.schedules[name] = ArmedSchedule(
            stored.route, settled.settled_until, settled.due_at, settled.refused
        )
        return True

    async def list_armed(
        self, project_id: str, *, limit: int, cursor: str | None = None, workflow_id: str | None = None
    ) -> SchedulesPage:
        refuse_unstorable(cursor=cursor, workflow_id=workflow_id)
        seen = None if cursor is None else (cursor.partition("/")[0], cursor.partition("/")[2])
        found = [
            self._listed(armed)
            for name, armed in sorted(self._tables.schedules.items())
            if armed.route.project_id == project_id
            and workflow_id in (None, armed.route.workflow_id)
            and (seen is None or name > seen)
        ]
        more = len(found) > limit
        return SchedulesPage(tuple(found[:limit]), found[limit - 1].armed.route.origin if more else None)

    async def get_armed(self, project_id: str, workflow_id: str, node: str) -> ListedSchedule | None:
        refuse_unstorable(workflow_id=workflow_id, node=node)
        armed = self._tables.schedules.get((workflow_id, node))
        return self._listed(armed) if armed is not None and armed.route.project_id == project_id else None

    async def fired_slots(self, workflow_id: str, node: str, slots: Collection[datetime]) -> Mapping[datetime, str]:
        fired = {slot: self._tables.slots.get((workflow_id, node, to_micros(slot))) for slot in slots}
        return {slot: by.execution_id for slot, by in fired.items() if by is not None}

    async def delete_old_slots(self, before: datetime) -> None:
        kept = {name: fired for name, fired in self._tables.slots.items() if name[2] >= to_micros(before)}
        self._tables.slots = kept

    def _listed(self, armed: ArmedSchedule) -> ListedSchedule:
        route = armed.route
        own = [name for name in self._tables.slots if name[:2] == (route.workflow_id, route.node)]
        if not own:
            return ListedSchedule(armed, None)
        newest = max(own)
        return ListedSchedule(armed, FiredSlot(from_micros(newest[2]), self._tables.slots[newest].execution_id))
