"""list_schedules: what is armed to start by the time, when next, and what came of it last."""

from pydantic import Field

from budflow.model.identity import utc_now
from budflow.model.principal import Principal
from budflow.services.schedule_views import ScheduleView
from budflow.services.use_case import RequestModel, Services, View, use_case


class ListSchedules(RequestModel):
    """Of which workflow, and which part of the list."""

    workflow_id: str | None = Field(None, description="Only the schedules of this workflow.")
    limit: int = Field(50, ge=1, le=200, description="How many at most.")
    cursor: str | None = Field(None, description="`next_cursor` of the page before.")


class SchedulesView(View):
    """Part of a list."""

    schedules: list[ScheduleView]
    next_cursor: str | None = Field(description="Continues the list; null at its end.")


@use_case("workflow:read")
async def list_schedules(services: Services, principal: Principal, request: ListSchedules) -> SchedulesView:
    """List the armed schedules, by workflow and node: a schedule is armed while its workflow is published."""
    page = await services.store.schedules.list_armed(
        principal.project_id, limit=request.limit, cursor=request.cursor, workflow_id=request.workflow_id
    )
    now = utc_now()
    return SchedulesView(
        schedules=[ScheduleView.of(listed, now) for listed in page.schedules], next_cursor=page.next_cursor
    )
