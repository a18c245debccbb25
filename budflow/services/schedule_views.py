"""Schedules as every door shows them."""

from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import islice

from pydantic import Field

from budflow.model.schedule import Missed, Schedule, slots_after
from budflow.services.schedule_ports import ListedSchedule
from budflow.services.use_case import View

#: How many of the next slots are shown of a schedule.
NEXT_SHOWN = 3


class RefusalView(View):
    """Why no execution was started for a slot."""

    slot: datetime
    at: datetime = Field(description="When it was tried.")
    code: str
    message: str
    hint: str


class ScheduleView(View):
    """An armed schedule."""

    workflow_id: str
    node: str
    version: int
    rule: str = Field(description="Such as `0 9 * * *` or `every 15m`.")
    timezone: str
    missed: Missed
    jitter_seconds: float
    next: list[datetime] = Field(description="The next slots, on the clocks of the time zone.")
    settled_until: datetime = Field(description="Slots up to then have started, or were passed over.")
    last_slot: datetime | None = Field(description="The newest slot that has started an execution.")
    last_execution_id: str | None = Field(description="That execution, which need not be kept any more.")
    last_error: RefusalView | None = Field(description="Set while the newest try to start an execution was refused.")

    @staticmethod
    def of(listed: ListedSchedule, now: datetime) -> "ScheduleView":
        """From what is stored; `next` is counted from `now`."""
        armed, last, refused = listed.armed, listed.last, listed.armed.refused
        route, schedule = armed.route, armed.route.schedule
        return ScheduleView(
            workflow_id=route.workflow_id,
            node=route.node,
            version=route.version,
            rule=schedule.rule,
            timezone=schedule.timezone,
            missed=schedule.missed,
            jitter_seconds=schedule.jitter_seconds,
            next=next_slots(schedule, max(now, armed.settled_until), NEXT_SHOWN),
            settled_until=armed.settled_until,
            last_slot=None if last is None else last.slot,
            last_execution_id=None if last is None else last.execution_id,
            last_error=None
            if refused is None
            else RefusalView(
                slot=refused.slot,
                at=refused.at,
                code=refused.failure.code,
                message=refused.failure.message,
                hint=refused.failure.hint,
            ),
        )


class SlotView(View):
    """A moment at which a workflow starts."""

    scheduled_at: datetime = Field(description="On the clocks of the time zone.")
    slot: datetime = Field(description="The same in UTC.")


def next_slots(schedule: Schedule, moment: datetime, count: int) -> list[datetime]:
    """The slots after `moment`, on the clocks of the schedule's time zone."""
    zone = schedule.zone
    return [slot.astimezone(zone) for slot in islice(slots_after(schedule, moment), count)]


def slot_views(slots: Iterable[datetime]) -> list[SlotView]:
    """Slots with a time zone, as they are shown."""
    return [SlotView(scheduled_at=slot, slot=slot.astimezone(UTC)) for slot in slots]
