"""Armed schedules: a published workflow's triggers that the time fires, and how far each of them has come."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from budflow.errors import BudflowError
from budflow.model.failure import Failure
from budflow.model.schedule import Schedule, due_at, slots_after


@dataclass(frozen=True, slots=True)
class ScheduleRoute:
    """A `trigger.schedule` of a version that is to be armed."""

    project_id: str
    workflow_id: str
    version: int
    node: str
    schedule: Schedule

    @property
    def origin(self) -> str:
        """What jitter is made from: the same whichever version it is."""
        return f"{self.workflow_id}/{self.node}"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the start of an execution for a slot was refused, and when."""

    slot: datetime
    at: datetime
    failure: Failure


@dataclass(frozen=True, slots=True)
class ArmedSchedule:
    """An armed schedule: all slots up to `settled_until` have started or were passed over.

    `due_at` is when to look again; None: nothing more is to come. `refused` is told of the last slot, where no
    execution was started for it.
    """

    route: ScheduleRoute
    settled_until: datetime
    due_at: datetime | None
    refused: Refusal | None = None


@dataclass(frozen=True, slots=True)
class FiredSlot:
    """A slot that started an execution, which need not be kept any more."""

    slot: datetime
    execution_id: str


class ScheduleNotFound(BudflowError):
    """The workflow has no armed schedule at this node."""

    code = "schedule.not_found"
    http_status = 404
    hint = (
        "List what is armed with `budflow schedule list`; a workflow must be published for its schedules to start it."
    )


def armed_from(route: ScheduleRoute, settled_until: datetime, refused: Refusal | None = None) -> ArmedSchedule:
    """The schedule with its slots settled up to then."""
    slot = next(slots_after(route.schedule, settled_until), None)
    due = None if slot is None else due_at(route.schedule, route.origin, slot)
    return ArmedSchedule(route, settled_until, due, refused)


def armed_anew(route: ScheduleRoute, before: Mapping[str, ArmedSchedule], now: datetime) -> ArmedSchedule:
    """What is armed at `now` for a route, where the workflow had these schedules `before`, by node.

    One that has the same slots as before goes on from where it was; any other begins now.
    """
    known = before.get(route.node)
    if known is None or not route.schedule.has_slots_of(known.route.schedule):
        return armed_from(route, now)
    return armed_from(route, known.settled_until, known.refused)
