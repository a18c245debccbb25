"""GET /status: what the server is made of and how it is doing."""

from budflow.api.route import Example, Route
from budflow.services.get_status import GetStatus, StatusView, get_status

ROUTE = Route(
    "GET",
    "/status",
    get_status,
    GetStatus,
    StatusView,
    Example(
        answer={
            "version": "0.1.0",
            "python": "3.11.2",
            "pid": 4711,
            "database": "sqlite",
            "executor": {"name": "inprocess"},
            "runner": "run_0192f0c1a2b37c3d8e4f5a6b7c8d9e0f",
            "running": 3,
            "running_max": 1000,
            "queued": 0,
            "node_types": 16,
        }
    ),
)
