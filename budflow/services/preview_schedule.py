"""preview_schedule: when a rule would start a workflow, asked before it is saved."""

from pydantic import AwareDatetime, Field

from budflow.model.identity import utc_now
from budflow.model.principal import Principal
from budflow.nodes.trigger.schedule import ScheduleParams
from budflow.services.schedule_views import SlotView, next_slots, slot_views
from budflow.services.use_case import RequestModel, Services, View, use_case

SLOTS_MAX = 100


class PreviewSchedule(ScheduleParams, RequestModel):
    """The parameters of a `trigger.schedule`, and how many slots to tell."""

    count: int = Field(5, ge=1, le=SLOTS_MAX, description="How many slots.")
    after: AwareDatetime | None = Field(None, description="The slots after this time; left out, after now.")


class PreviewView(View):
    """When it would start."""

    timezone: str
    slots: list[SlotView] = Field(description="In their order, without jitter; fewer than asked for where it ends.")


@use_case("workflow:read")
async def preview_schedule(services: Services, principal: Principal, request: PreviewSchedule) -> PreviewView:
    """Tell the next slots of a rule, which need not be part of a workflow. Without a `timezone` it is UTC."""
    schedule = request.schedule("UTC")
    slots = next_slots(schedule, request.after or utc_now(), request.count)
    return PreviewView(timezone=schedule.timezone, slots=slot_views(slots))
