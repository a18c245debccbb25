"""POST /schedules/{workflow_id}/{node}/backfill: start the executions of times that have passed."""

from budflow.api.examples import EXECUTION_ID, WORKFLOW_ID
from budflow.api.route import Example, Route
from budflow.services.backfill_schedule import BackfillSchedule, BackfillView, backfill_schedule

ROUTE = Route(
    "POST",
    "/schedules/{workflow_id}/{node}/backfill",
    backfill_schedule,
    BackfillSchedule,
    BackfillView,
    Example(
        answer={
            "slots": [
                {
                    "scheduled_at": "2026-01-05T09:00:00+01:00",
                    "slot": "2026-01-05T08:00:00Z",
                    "execution_id": EXECUTION_ID,
                    "repeated": False,
                }
            ],
            "next_since": None,
        },
        parameters={"workflow_id": WORKFLOW_ID, "node": "every_morning"},
        body={"since": "2026-01-05T00:00:00+01:00", "until": "2026-01-06T00:00:00+01:00"},
    ),
)
