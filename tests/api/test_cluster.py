"""`GET /cluster`: the figures of an installation, each real or null with the reason."""

from collections.abc import Mapping
from typing import Any

from tests.gate import Gate
from tests.http_server import HttpServer, workflow


async def test_a_lone_server_tells_what_it_has_and_why_not_the_rest(server: HttpServer) -> None:
    shown = (await server.client.get("/api/v1/cluster")).json()

    [runner] = shown["runners"]
    assert runner["id"] == shown["runner"]
    assert (runner["kind"], runner["running"], runner["running_max"]) == ("main", 0, 1000)
    assert shown["queue"] == {
        "queued": 0,
        "running": 0,
        "waiting": 0,
        "oldest_queued_seconds": None,
        "queued_by_priority": {},
        "waiting_by_reason": {},
    }
    assert shown["database"]["kind"] == "memory"
    assert shown["database"]["latency"]["samples"] == 1
    assert shown["blobs"] == "file"
    assert shown["versions"]["tables"] is None
    assert (shown["sandbox"]["state"], shown["sandbox"]["wanted"]) == ("idle", "auto")
    for name in ("redis", "ray"):
        assert shown[name] is None
        assert shown["unused"][name].endswith(".")


async def test_it_tells_what_runs_and_what_passed_through(server: HttpServer, gate: Gate) -> None:
    fetch = workflow(
        {"start": ("trigger.manual", {}), "fetch": ("http.request", {"url": gate.url})}, ("start", "fetch")
    )
    workflow_id = await server.create(fetch)
    started = await server.client.post(f"/api/v1/workflows/{workflow_id}/executions", json={})
    await gate.arrived.wait()

    shown = (await server.client.get("/api/v1/cluster")).json()
    assert shown["queue"]["running"] == 1
    assert shown["runners"][0]["running"] == 1
    assert shown["throughput"]["admitted_per_second"] == round(1 / 60, 3)
    assert shown["throughput"]["ended_per_second"] == 0

    gate.release.set()
    await server.ended(started.json()["execution"]["id"])


async def test_the_permission_to_read_the_server_is_needed(server: HttpServer) -> None:
    assert (await server.stranger.get("/api/v1/cluster")).json()["code"] == "auth.key_refused"


class OnRay:
    """An executor that tells what one on Ray does; it is never given work."""

    name = "ray"

    def __init__(self, **status: Any) -> None:
        self._status = status

    def status(self) -> Mapping[str, Any]:
        return {"name": self.name, **self._status}

    async def close(self) -> None:
        """Nothing to let go of."""


NODE = {
    "id": "4d2f",
    "host": "one",
    "alive": False,
    "resources": {"CPU": 4.0},
    "available": {},
    "labels": {"tier": "gpu"},
}


async def test_the_nodes_of_a_ray_that_it_is_attached_to_are_shown_with_the_dead_ones(server: HttpServer) -> None:
    before = server.runtime.services.supervisor.use(OnRay(address="head:6379", dashboard=None, nodes=[NODE]))  # type: ignore[arg-type] # it is never given work
    try:
        shown = (await server.client.get("/api/v1/cluster")).json()["ray"]
        scraped = (await server.client.get("/metrics")).text
    finally:
        server.runtime.services.supervisor.use(before)

    assert shown == {
        "state": "attached",
        "address": "head:6379",
        "dashboard": None,
        "nodes": [NODE],
        "problem": None,
    }
    assert 'budflow_ray_nodes{state="dead"} 1.0' in scraped


async def test_why_ray_did_not_start_is_told(server: HttpServer) -> None:
    failed = {"state": "failed", "code": "ray.start_failed", "message": "Ray could not be started.", "hint": ""}
    before = server.runtime.services.supervisor.use(OnRay(ray=failed))  # type: ignore[arg-type] # it is never given work
    try:
        shown = (await server.client.get("/api/v1/cluster")).json()["ray"]
    finally:
        server.runtime.services.supervisor.use(before)

    assert (shown["state"], shown["problem"], shown["nodes"]) == ("failed", "Ray could not be started.", [])


async def test_a_server_apart_from_ray_knows_the_nodes_of_the_runners_that_live_there(server: HttpServer) -> None:
    lease = await server.runtime.services.store.open_lease(
        "run_there", seconds=10, kind="ray", details={"ray_node": "4d2f", "running_max": 7, "release": "0.2.0"}
    )

    shown = (await server.client.get("/api/v1/cluster")).json()
    await lease.close()

    [there] = [runner for runner in shown["runners"] if runner["kind"] == "ray"]
    assert (there["running_max"], there["release"], there["ray_node"]) == (7, "0.2.0", "4d2f")
    assert shown["ray"]["state"] == "by_runners"
    assert [node["id"] for node in shown["ray"]["nodes"]] == ["4d2f"]
