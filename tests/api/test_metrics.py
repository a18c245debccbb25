"""`GET /metrics` as Prometheus meets it: who may read it, and that the figures are those of what was done."""

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from budflow.api.metrics import METRICS
from budflow.storage.errors import StorageUnavailable
from budflow.storage.memory.queue_figures import MemoryFigures
from tests.http_server import HttpServer, open_http_server, workflow

KEY = "metrics-0123456789abcdef"
GREETING = workflow(
    {
        "hook": ("trigger.webhook", {"path": "greet", "respond": "last_node"}),
        "greet": ("data.set", {"values": {"text": "Hello, {{ $json.body.name.upper() }}!"}, "keep": False}),
    },
    ("hook", "greet"),
)


@pytest.fixture
async def scraped() -> AsyncIterator[HttpServer]:
    """A server with a key for metrics; `stranger` has that one."""
    async with open_http_server(metrics_key=KEY) as server:
        server.stranger.headers["Authorization"] = f"Bearer {KEY}"
        yield server


async def samples(server: HttpServer) -> dict[tuple[str, frozenset[str]], float]:
    """Every sample by its name and the values of its labels."""
    answer = await server.client.get("/metrics")
    assert answer.status_code == 200, answer.text
    families = text_string_to_metric_families(answer.text)
    return {(one.name, frozenset(one.labels.values())): one.value for family in families for one in family.samples}


def value(found: dict[tuple[str, frozenset[str]], float], name: str, *labels: str) -> float:
    return found.get((name, frozenset(labels)), 0)


async def test_it_is_in_the_text_format_of_prometheus(server: HttpServer) -> None:
    answer = await server.client.get("/metrics")

    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    for declared in METRICS:
        assert families[declared.name].type == declared.kind
        assert families[declared.name].documentation == declared.meaning
    assert families["process_resident_memory_bytes"].samples[0].value > 0


async def test_who_has_no_key_may_not_read_it(server: HttpServer) -> None:
    for said in ({}, {"Authorization": f"Bearer {KEY}"}):
        assert (await server.stranger.get("/metrics", headers=said)).json()["code"] == "auth.key_refused"


async def test_a_key_of_its_own_opens_the_figures_and_nothing_else(scraped: HttpServer) -> None:
    for path in ("/metrics", "/api/v1/cluster", "/api/v1/status"):
        assert (await scraped.stranger.get(path)).status_code == 200, path
    for path in ("/api/v1/workflows", "/api/v1/executions", "/api/v1/credentials"):
        assert (await scraped.stranger.get(path)).json()["code"] == "auth.permission_missing", path


async def test_executions_nodes_and_webhooks_are_counted(server: HttpServer) -> None:
    await server.publish(GREETING)
    before = await samples(server)
    assert (await server.stranger.post("/webhook/greet", json={"name": "Ada"})).status_code == 200
    assert (await server.stranger.post("/webhook/greet", json={"name": 1})).status_code == 500
    assert (await server.stranger.post("/webhook/none", json={})).status_code == 404

    found = await samples(server)

    assert value(before, "budflow_executions_started_total", "webhook") == 0
    assert value(found, "budflow_executions_started_total", "webhook") == 2
    assert value(found, "budflow_executions_finished_total", "succeeded", "webhook") == 1
    assert value(found, "budflow_executions_finished_total", "failed", "webhook") == 1
    assert value(found, "budflow_node_runs_total", "data.set", "finished") == 1
    assert value(found, "budflow_node_runs_total", "data.set", "failed") == 1
    assert value(found, "budflow_node_run_seconds_count", "data.set") == 2
    assert value(found, "budflow_node_run_seconds_bucket", "data.set", "+Inf") == 2
    for status in ("200", "500", "404"):
        assert value(found, "budflow_webhook_requests_total", status) == 1
    assert value(found, "budflow_webhook_request_seconds_count") == 3
    assert value(found, "budflow_executions", "running") == 0
    assert value(found, "budflow_runners", "main") == 1
    assert value(found, "budflow_database_up") == 1
    assert value(found, "budflow_leader") in (0, 1)


async def test_requests_are_counted_by_route_and_not_by_what_stands_in_the_path(server: HttpServer) -> None:
    for number in range(3):
        await server.client.get(f"/api/v1/executions/exe_{number}")
        await server.client.get(f"/api/v1/nowhere/{number}")
    await server.stranger.request("PROPFIND7", "/api/v1/executions")

    found = await samples(server)

    route = "/api/v1/executions/{execution_id}"
    assert value(found, "budflow_http_requests_total", "GET", route, "404") == 3
    assert value(found, "budflow_http_request_seconds_count", "GET", route) == 3
    assert value(found, "budflow_http_requests_total", "GET", "other", "404") == 3
    assert not [name for name, labels in found if re.search("exe_|nowhere|PROPFIND", " ".join(labels))]


async def test_a_database_that_is_away_leaves_the_process_own_figures(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any) -> Any:
        raise StorageUnavailable

    monkeypatch.setattr(MemoryFigures, "queue_figures", away)

    found = await samples(server)

    assert value(found, "budflow_database_up") == 0
    assert not [name for name, _ in found if name == "budflow_executions"]
    assert ("budflow_runner_executions", frozenset()) in found


async def test_a_stream_counts_when_its_answer_begins(server: HttpServer) -> None:
    workflow_id = await server.create(workflow({"start": ("trigger.manual", {})}))
    started = await server.client.post(f"/api/v1/workflows/{workflow_id}/executions", json={})
    execution_id = started.json()["execution"]["id"]
    await server.ended(execution_id)
    answer: httpx2.Response = await server.client.get(f"/api/v1/executions/{execution_id}/events")
    assert answer.status_code == 200

    found = await samples(server)

    assert value(found, "budflow_http_requests_total", "GET", "/api/v1/executions/{execution_id}/events", "200") == 1
