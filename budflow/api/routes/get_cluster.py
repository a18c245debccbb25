"""GET /cluster: the servers, runners and Ray nodes of an installation, its queue and how fast it works."""

from budflow.api.route import Example, Route
from budflow.services.get_cluster import ClusterView, GetCluster, get_cluster

_MAIN = "run_0192f0c1a2b37c3d8e4f5a6b7c8d9e0f"
_WORKER = "run_0192f0c2b3c47d4e9f5a6b7c8d9e0f1a"

ROUTE = Route(
    "GET",
    "/cluster",
    get_cluster,
    GetCluster,
    ClusterView,
    Example(
        answer={
            "at": "2026-01-05T10:00:00Z",
            "runner": _MAIN,
            "leader": {"holder": _MAIN, "token": 7, "until": "2026-01-05T10:00:08Z", "here": True},
            "runners": [
                {
                    "id": _MAIN,
                    "kind": "main",
                    "host": "main-1",
                    "pid": 7,
                    "started_at": "2026-01-05T09:00:00Z",
                    "lease_until": "2026-01-05T10:00:08Z",
                    "lease_seconds_left": 8.2,
                    "running": 3,
                    "running_max": 1000,
                    "taken_over": 0,
                    "release": "0.2.0",
                    "ray_node": None,
                },
                {
                    "id": _WORKER,
                    "kind": "ray",
                    "host": "ray-worker-1",
                    "pid": 112,
                    "started_at": "2026-01-05T09:00:09Z",
                    "lease_until": "2026-01-05T10:00:09Z",
                    "lease_seconds_left": 9.1,
                    "running": 40,
                    "running_max": 1000,
                    "taken_over": 2,
                    "release": "0.2.0",
                    "ray_node": "4d2f",
                },
            ],
            "queue": {
                "queued": 12,
                "running": 43,
                "waiting": 5,
                "oldest_queued_seconds": 0.4,
                "queued_by_priority": {"0": 11, "5": 1},
                "waiting_by_reason": {"approval": 3, "timer": 2},
            },
            "throughput": {
                "seconds": 60.0,
                "admitted_per_second": 210.5,
                "ended_per_second": 208.9,
                "failed_per_second": 0.2,
            },
            "database": {"kind": "postgresql", "latency": {"last_ms": 0.4, "median_ms": 0.5, "samples": 60}},
            "redis": None,
            "wakes": {"by": "postgresql", "hears": True},
            "blobs": "s3",
            "ray": {
                "state": "attached",
                "address": "ray-head:6379",
                "dashboard": "http://ray-head:8265",
                "nodes": [
                    {
                        "id": "4d2f",
                        "host": "ray-worker-1",
                        "alive": True,
                        "resources": {"CPU": 4.0, "memory": 8000000000.0},
                        "available": {"CPU": 1.0, "memory": 6000000000.0},
                        "labels": {"tier": "gpu"},
                    }
                ],
                "problem": None,
            },
            "sandbox": None,
            "versions": {"budflow": "0.2.0", "python": "3.11.2", "ray": "2.60.0", "tables": "0005"},
            "unused": {
                "redis": "It is not set, or not used with SQLite: servers agree by the database.",
                "sandbox": "The setting `sandbox` is `off`.",
            },
        }
    ),
)
