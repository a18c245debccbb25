"""GET /waits: what executions wait for that somebody can answer, the oldest first."""

from budflow.api.examples import WAIT
from budflow.api.route import Example, Route
from budflow.services.list_waits import ListWaits, WaitsView, list_waits

ROUTE = Route(
    "GET",
    "/waits",
    list_waits,
    ListWaits,
    WaitsView,
    Example(answer={"waits": [WAIT], "next_cursor": None}, parameters={"limit": 50, "reason": "approval"}),
)
