"""What schedules ask of the store: which are due, how far they have come, and which slots have started an execution."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from budflow.model.armed_schedule import ArmedSchedule, FiredSlot


@dataclass(frozen=True, slots=True)
class DueSchedules:
    """The schedules that are due at `now`, some of them where there are many; `next_at` is when the next one will be.

    `now` is the database's time: all servers that share it agree on it, whatever their own clocks say.
    """

    now: datetime
    due: tuple[ArmedSchedule, ...]
    next_at: datetime | None


@dataclass(frozen=True, slots=True)
class ListedSchedule:
    """An armed schedule as it is shown, with the newest slot that has started an execution."""

    armed: ArmedSchedule
    last: FiredSlot | None


@dataclass(frozen=True, slots=True)
class SchedulesPage:
    """Part of a list; `next_cursor` continues it and is None at the end."""

    schedules: tuple[ListedSchedule, ...]
    next_cursor: str | None


class ScheduleStore(Protocol):
    """The armed schedules. They are armed and disarmed by WorkflowStore.publish, and slots inserted by admissions."""

    async def find_due(self, *, limit: int, now: datetime | None = None) -> DueSchedules:
        """Up to `limit` that are due, those that have been for longest first; at the database's time unless `now`."""
        ...

    async def settle(self, armed: ArmedSchedule, settled: ArmedSchedule) -> bool:
        """Replace what is stored as `armed`, if its version and how far it has come are still so; whether they were."""
        ...

    async def list_armed(
        self, project_id: str, *, limit: int, cursor: str | None = None, workflow_id: str | None = None
    ) -> SchedulesPage:
        """By workflow and node. The cursor is `workflow/node` of the last one seen."""
        ...

    async def get_armed(self, project_id: str, workflow_id: str, node: str) -> ListedSchedule | None: ...

    async def fired_slots(self, workflow_id: str, node: str, slots: Collection[datetime]) -> Mapping[datetime, str]:
        """Those of the slots that have started an execution, with its id."""
        ...

    async def delete_old_slots(self, before: datetime) -> None:
        """Forget the slots from before: from then on nothing keeps them from starting an execution again."""
        ...
