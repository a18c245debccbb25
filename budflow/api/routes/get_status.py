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
            "version": "0.2.0",
            "python": "3.11.2",
            "pid": 4711,
            "database": "sqlite",
            "executor": {"name": "inprocess"},
            "runner": "run_0192f0c1a2b37c3d8e4f5a6b7c8d9e0f",
            "running": 3,
            "running_max": 1000,
            "queued": 0,
            "executions": {"queued": 0, "running": 3, "waiting": 12},
            "runners": [
                {
                    "id": "run_0192f0c1a2b37c3d8e4f5a6b7c8d9e0f",
                    "host": "laptop",
                    "pid": 4711,
                    "started_at": "2026-01-05T09:00:00Z",
                    "lease_until": None,
                    "running": 3,
                    "taken_over": 0,
                    "kind": "main",
                    "details": {"running_max": 1000, "cores": 4, "release": "0.2.0", "python": "3.11.2"},
                }
            ],
            "node_types": 16,
            "blobs": {"place": "/var/lib/budflow/blobs", "works": True, "problem": None, "hint": None},
            "sandbox": {
                "wanted": "auto",
                "state": "running",
                "isolation": "docker",
                "label": None,
                "image": "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                "workers": {"idle": 1, "busy": 2},
                "workers_max": 8,
                "queued": 0,
                "tasks_done": 311,
                "problem": None,
                "hint": None,
                "details": {"starts": 9, "starts_failed": 0, "runner": {"engine": "28.0.4", "runtime": "runc"}},
            },
        }
    ),
)
