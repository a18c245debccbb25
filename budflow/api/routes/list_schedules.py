"""GET /schedules: what is armed to start by the time."""

from budflow.api.examples import SCHEDULE, WORKFLOW_ID
from budflow.api.route import Example, Route
from budflow.services.list_schedules import ListSchedules, SchedulesView, list_schedules

ROUTE = Route(
    "GET",
    "/schedules",
    list_schedules,
    ListSchedules,
    SchedulesView,
    Example(
        answer={"schedules": [SCHEDULE], "next_cursor": None}, parameters={"workflow_id": WORKFLOW_ID, "limit": 50}
    ),
)
