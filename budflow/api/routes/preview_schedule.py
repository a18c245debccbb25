"""POST /schedules/preview: the next slots of a rule."""

from budflow.api.route import Example, Route
from budflow.services.preview_schedule import PreviewSchedule, PreviewView, preview_schedule

ROUTE = Route(
    "POST",
    "/schedules/preview",
    preview_schedule,
    PreviewSchedule,
    PreviewView,
    Example(
        answer={
            "timezone": "Europe/Vienna",
            "slots": [
                {"scheduled_at": "2026-01-05T09:00:00+01:00", "slot": "2026-01-05T08:00:00Z"},
                {"scheduled_at": "2026-01-06T09:00:00+01:00", "slot": "2026-01-06T08:00:00Z"},
            ],
        },
        body={"cron": "0 9 * * MON-FRI", "timezone": "Europe/Vienna", "count": 2},
    ),
)
