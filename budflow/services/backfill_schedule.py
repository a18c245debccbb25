"""backfill_schedule: start the executions of times that have passed."""

from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile

from pydantic import AwareDatetime, Field

from budflow.errors import BudflowError
from budflow.model.armed_schedule import ScheduleNotFound
from budflow.model.execution import SlotFired
from budflow.model.identity import utc_now
from budflow.model.principal import Principal
from budflow.model.schedule import slots_after
from budflow.services.fire_schedules import start_slot
from budflow.services.use_case import RequestModel, Services, View, use_case

#: How long it is known which slots have started an execution; nothing before that can be asked for.
SLOT_LIFE = timedelta(days=365)
SLOTS_MAX = 1_000
_MICROSECOND = timedelta(microseconds=1)


class BackfillRefused(BudflowError):
    """These times cannot be backfilled."""

    code = "schedule.backfill_refused"
    http_status = 422
    hint = "Name a time of the last year as `since`, and as `until` a later one that has passed."


class BackfillSchedule(RequestModel):
    """Which slots of which schedule."""

    workflow_id: str
    node: str = Field(description="Key of the `trigger.schedule`.")
    since: AwareDatetime = Field(description="The first time, such as 2026-03-01T00:00:00+01:00.")
    until: AwareDatetime = Field(description="The last time; itself included.")
    limit: int = Field(100, ge=1, le=SLOTS_MAX, description="How many slots at most, the oldest first.")
    dry_run: bool = Field(False, description="Only tell which slots there are.")


class BackfilledView(View):
    """A slot, and its execution."""

    scheduled_at: datetime = Field(description="On the clocks of the time zone.")
    slot: datetime = Field(description="The same in UTC.")
    execution_id: str | None = Field(description="Null in a dry run, where nothing was started for it before.")
    repeated: bool = Field(description="Whether it had started this execution before.")


class BackfillView(View):
    """What was started."""

    slots: list[BackfilledView]
    next_since: datetime | None = Field(description="`since` for the slots beyond `limit`; null where there are none.")


@use_case("execution:run")
async def backfill_schedule(services: Services, principal: Principal, request: BackfillSchedule) -> BackfillView:
    """Start an execution for each slot of a time range, of a schedule that is armed.

    A slot that has started one before is not started again, so that a request may be sent again, as after a QueueFull.
    """
    listed = await services.store.schedules.get_armed(principal.project_id, request.workflow_id, request.node)
    if listed is None:
        raise ScheduleNotFound(f"No schedule `{request.node}` of {request.workflow_id} is armed.")
    route = listed.armed.route
    now = utc_now()
    if request.until > now:
        raise BackfillRefused("`until` lies in the future: those slots start by themselves.")
    if request.since > request.until:
        raise BackfillRefused("`since` is later than `until`.")
    if request.since < now - SLOT_LIFE:
        raise BackfillRefused("`since` is more than a year ago: which slots started then is not known any more.")
    following = takewhile(
        lambda slot: slot <= request.until, slots_after(route.schedule, request.since.astimezone(UTC) - _MICROSECOND)
    )
    slots, beyond = list(islice(following, request.limit)), next(following, None)
    before = await services.store.schedules.fired_slots(route.workflow_id, route.node, slots)
    views: list[BackfilledView] = []
    for slot in slots:
        execution_id, repeated = before.get(slot), slot in before
        if execution_id is None and not request.dry_run:
            try:
                execution_id = (await start_slot(services, route, slot, backfill=True)).execution.id
            except SlotFired as fired:  # By the time, or by another backfill, meanwhile.
                execution_id, repeated = str(fired.details["execution_id"]), True
        views.append(
            BackfilledView(
                scheduled_at=slot.astimezone(route.schedule.zone),
                slot=slot,
                execution_id=execution_id,
                repeated=repeated,
            )
        )
    return BackfillView(slots=views, next_since=beyond)
