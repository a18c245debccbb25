"""The API as its callers meet it: workflows and executions from creation to result, keys, permissions and errors."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import httpx2
import pytest

from budflow.execution.supervisor import Supervisor
from budflow.model.execution import QueueFull
from budflow.model.principal import OWNER, Door, Principal
from budflow.services.keys import Keys
from budflow.storage.errors import StorageUnavailable
from budflow.storage.memory.store import MemoryStore
from tests.gate import Gate
from tests.http_server import HttpServer, workflow

GREETING = workflow(
    {
        "start": ("trigger.manual", {}),
        "hook": ("trigger.webhook", {"path": "greet"}),
        "greet": ("data.set", {"values": {"text": "Hello, {{ $json.name }}!"}, "keep": False}),
    },
    ("start", "greet"),
    ("hook", "greet"),
    name="Greeting",
)


def waiting(gate: Gate) -> dict[str, Any]:
    return workflow({"start": ("trigger.manual", {}), "fetch": ("http.request", {"url": gate.url})}, ("start", "fetch"))


def problem(answer: httpx2.Response, status: int, code: str) -> Mapping[str, Any]:
    """The problem document of an answer that must be one, with all its members."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    shape: Mapping[str, Any] = answer.json()
    assert (answer.status_code, shape["status"], shape["code"]) == (status, status, code)
    assert shape["type"] == f"urn:budflow:error:{code}"
    assert shape["instance"] == answer.request.url.path
    assert shape["title"] and shape["detail"] and shape["hint"]
    return shape


async def test_a_workflow_is_stored_changed_published_and_removed(server: HttpServer) -> None:
    api = server.client
    workflow_id = await server.create(GREETING)
    url = f"/api/v1/workflows/{workflow_id}"

    changed = await api.put(url, json={"document": {**GREETING, "name": "Hello"}, "expected_version": 1})
    assert changed.json()["version"] == 2
    listed = await api.get("/api/v1/workflows", params={"name": "hell"})
    assert [one["id"] for one in listed.json()["workflows"]] == [workflow_id]
    assert (await api.get(url)).json()["document"]["name"] == "Hello"
    assert (await api.get(f"{url}/versions/1")).json()["document"]["name"] == "Greeting"

    published = await api.post(f"{url}/publish", json={"version": 1})
    assert published.json()["webhooks"] == ["POST /webhook/greet"]
    versions = (await api.get(f"{url}/versions")).json()["versions"]
    assert [(one["version"], one["published"]) for one in versions] == [(2, False), (1, True)]
    assert (await api.post(f"{url}/unpublish")).json()["published_version"] is None

    assert (await api.delete(url)).json() == {"deleted": workflow_id}
    problem(await api.get(url), 404, "workflow.not_found")


async def test_lists_go_on_where_the_page_before_ended(server: HttpServer) -> None:
    ids = [await server.create(GREETING) for _ in range(3)]

    first = (await server.client.get("/api/v1/workflows", params={"limit": 2})).json()
    second = (await server.client.get("/api/v1/workflows", params={"cursor": first["next_cursor"]})).json()

    assert [one["id"] for one in first["workflows"] + second["workflows"]] == ids[::-1]
    assert second["next_cursor"] is None


async def test_an_execution_is_started_waited_for_and_read(server: HttpServer) -> None:
    workflow_id = await server.create(GREETING)

    started = await server.client.post(
        f"/api/v1/workflows/{workflow_id}/executions", json={"items": [{"name": "Ada"}], "wait_seconds": 10}
    )

    assert started.status_code == 202
    detail = started.json()
    assert detail["result"]["items"] == [{"json": {"text": "Hello, Ada!"}}]
    execution = detail["execution"]
    assert (execution["status"], execution["mode"]) == ("succeeded", "api")
    listed = await server.client.get("/api/v1/executions", params={"workflow_id": workflow_id, "status": "succeeded"})
    assert [one["id"] for one in listed.json()["executions"]] == [execution["id"]]
    items = await server.client.get(
        f"/api/v1/executions/{execution['id']}", params={"detail": "items", "node": "greet", "limit": 1}
    )
    assert [node["key"] for node in items.json()["nodes"]] == ["greet"]
    assert items.json()["nodes"][0]["items"]["main"]["total"] == 1


async def test_an_execution_can_be_started_by_one_whole_model(server: HttpServer) -> None:
    workflow_id = await server.create(GREETING)

    started = await server.client.post("/api/v1/executions", json={"workflow_id": workflow_id, "wait_seconds": 10})

    assert started.status_code == 202
    assert started.json()["execution"]["workflow_id"] == workflow_id


async def test_an_execution_is_cancelled_and_cannot_be_twice(server: HttpServer, gate: Gate) -> None:
    workflow_id = await server.create(waiting(gate))
    started = await server.client.post(f"/api/v1/workflows/{workflow_id}/executions")
    url = f"/api/v1/executions/{started.json()['execution']['id']}"
    await gate.arrived.wait()

    cancelled = await server.client.post(f"{url}/cancel")
    assert (cancelled.status_code, cancelled.json()["cancelling"]) == (202, True)
    assert (await server.client.get(f"{url}/wait")).json()["execution"]["status"] == "cancelled"
    problem(await server.client.post(f"{url}/cancel"), 409, "execution.ended")


async def test_one_round_of_a_loop_can_be_read(server: HttpServer) -> None:
    document = workflow({"start": ("trigger.manual", {}), "each": ("flow.for_each", {})}, ("start", "each"))
    pace = {"type": "flow.wait", "params": {"mode": "duration", "seconds": 0}}
    edges = [{"from": "$in", "to": "pace"}, {"from": "pace", "to": "$out"}]
    document["nodes"]["each"]["bodies"] = {"body": {"nodes": {"pace": pace}, "edges": edges}}
    started = await server.client.post(
        f"/api/v1/workflows/{await server.create(document)}/executions",
        json={"items": [{"n": 1}, {"n": 2}], "wait_seconds": 10},
    )
    url = f"/api/v1/executions/{started.json()['execution']['id']}"

    [round_] = (await server.client.get(url, params={"detail": "items", "node": "pace[1]"})).json()["nodes"]

    assert (round_["runs"], round_["items"]["main"]["items"]) == (1, [{"json": {"n": 2}}])
    [each] = (await server.client.get(url, params={"node": "each"})).json()["nodes"]
    assert each["progress"] == {"done": 2, "total": 2}
    for wrong in ("pace[1][0]", "each[0]", "pace[x]"):
        refused = await server.client.get(url, params={"node": wrong})
        problem(refused, 404, "execution.node_not_found")


async def test_waiting_ends_with_its_time_though_the_execution_does_not(server: HttpServer, gate: Gate) -> None:
    workflow_id = await server.create(waiting(gate))
    started = await server.client.post(f"/api/v1/workflows/{workflow_id}/executions", json={"wait_seconds": 0.01})

    assert started.json()["execution"]["status"] == "running"


async def test_node_types_are_found_and_read(server: HttpServer) -> None:
    found = (await server.client.get("/api/v1/nodes", params={"query": "http"})).json()["nodes"]
    assert "http.request" in [one["type"] for one in found]

    assert (await server.client.get("/api/v1/nodes/http.request")).json()["params"]["type"] == "object"
    assert (
        "http.request"
        in problem(await server.client.get("/api/v1/nodes/http.requst"), 404, "node.type_not_found")["hint"]
    )


async def test_the_status_tells_real_figures(server: HttpServer) -> None:
    status = (await server.client.get("/api/v1/status")).json()

    assert status["running"] == 0
    assert status["executions"] == {"queued": 0, "running": 0, "waiting": 0}
    assert [(one["id"], one["running"], one["taken_over"]) for one in status["runners"]] == [(status["runner"], 0, 0)]


async def test_a_wrong_document_is_refused_with_every_problem_at_its_place(server: HttpServer) -> None:
    wrong = workflow({"start": ("trigger.manual", {}), "a": ("data.st", {})}, ("start", "a"), ("a", "nowhere"))

    validated = await server.client.post("/api/v1/workflows/validate", json={"document": GREETING})
    refused = problem(await server.client.post("/api/v1/workflows", json={"document": wrong}), 422, "workflow.invalid")

    said = validated.json()
    assert said.pop("plan")
    assert said == {"can_save": True, "can_run": True, "can_publish": True, "problems": []}
    assert {one["path"] for one in refused["problems"]} == {"/nodes/a/type", "/edges/1/to"}
    assert "Did you mean `data.set`?" in [one["hint"] for one in refused["problems"]]


async def test_an_outdated_version_is_a_conflict(server: HttpServer) -> None:
    workflow_id = await server.create(GREETING)

    answer = await server.client.put(
        f"/api/v1/workflows/{workflow_id}", json={"document": GREETING, "expected_version": 2}
    )

    problem(answer, 409, "workflow.version_conflict")


async def test_a_taken_webhook_is_a_conflict_with_details(server: HttpServer) -> None:
    first = await server.publish(GREETING)
    second = await server.create(GREETING)

    refused = problem(await server.client.post(f"/api/v1/workflows/{second}/publish"), 409, "webhook.taken")

    assert refused["details"]["workflow_id"] == first


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer wrong", "Basic b3duZXI6eA=="])
async def test_without_a_valid_key_nothing_is_told(server: HttpServer, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}

    for path in ("/api/v1/workflows", "/api/v1/executions/exe_1/events", "/api/v1/status"):
        answer = await server.stranger.get(path, headers=headers)
        problem(answer, 401, "auth.key_refused")
        assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_the_key_is_asked_for_before_the_body_is_read(server: HttpServer) -> None:
    problem(await server.stranger.post("/api/v1/workflows", content=b"{"), 401, "auth.key_refused")


async def test_a_missing_permission_is_named(server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def reader(_: Keys, authorization: str | None, door: Door) -> Principal:
        return replace(OWNER, permissions=frozenset({"workflow:read"}), door=door)

    monkeypatch.setattr(Keys, "principal", reader)
    assert (await server.client.get("/api/v1/workflows")).status_code == 200

    answer = await server.client.post("/api/v1/workflows", json={"document": GREETING})

    assert problem(answer, 403, "auth.permission_missing")["details"] == {"permission": "workflow:write"}


@pytest.mark.parametrize(
    ("said", "mode"), [("cli", "cli"), ("mcp", "mcp"), ("webhook", "api"), ("root", "api"), ("", "api")]
)
async def test_our_own_clients_may_say_by_which_door_the_caller_came(server: HttpServer, said: str, mode: str) -> None:
    workflow_id = await server.create(GREETING)

    started = await server.client.post(f"/api/v1/workflows/{workflow_id}/executions", headers={"X-Budflow-Door": said})

    assert started.json()["execution"]["mode"] == mode


async def test_an_unknown_path_and_a_wrong_method_are_problems_too(server: HttpServer) -> None:
    problem(await server.client.get("/api/v1/workflow"), 404, "request.path_unknown")
    problem(await server.client.get("/webhook"), 404, "request.path_unknown")
    refused = await server.client.patch("/api/v1/workflows")
    problem(refused, 405, "request.method_not_allowed")
    assert refused.headers["allow"]


async def test_a_full_queue_says_when_to_try_again(server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    workflow_id = await server.create(GREETING)

    async def full(*_: Any, **__: Any) -> None:
        raise QueueFull

    monkeypatch.setattr(Supervisor, "submit", full)
    answer = await server.client.post(f"/api/v1/workflows/{workflow_id}/executions")

    problem(answer, 503, "execution.queue_full")
    assert int(answer.headers["retry-after"]) > 0


async def test_what_nobody_expected_is_logged_under_an_id_and_not_told(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("a secret of ours")

    monkeypatch.setattr(MemoryStore, "list_workflows", broken)
    with caplog.at_level(logging.ERROR):
        answer = await server.client.get("/api/v1/workflows")

    told = problem(answer, 500, "server.internal_error")
    assert "secret" not in answer.text
    [logged] = [record for record in caplog.records if record.message == "request.broken"]
    assert logged.fields["error_id"] == told["details"]["error_id"]  # type: ignore[attr-defined] # Log sets it
    assert logged.exc_info is not None


async def test_readiness_asks_the_database_and_health_does_not(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await server.stranger.get("/readyz")).json() == {"status": "ok"}

    async def unavailable(_: MemoryStore) -> int:
        raise StorageUnavailable

    monkeypatch.setattr(MemoryStore, "count_queued", unavailable)
    problem(await server.stranger.get("/readyz"), 503, "storage.unavailable")
    assert (await server.stranger.get("/healthz")).json() == {"status": "ok"}


async def test_many_callers_at_once_are_each_answered(server: HttpServer) -> None:
    workflow_id = await server.create(GREETING)

    answers = await asyncio.gather(
        *(
            server.client.post(
                f"/api/v1/workflows/{workflow_id}/executions", json={"items": [{"name": n}], "wait_seconds": 10}
            )
            for n in range(20)
        )
    )

    results = [answer.json()["result"]["items"][0]["json"]["text"] for answer in answers]
    assert results == [f"Hello, {n}!" for n in range(20)]


async def test_a_node_that_the_workflow_does_not_have_is_not_shown_as_nothing(server: HttpServer) -> None:
    workflow_id = await server.create(GREETING)
    started = await server.client.post(f"/api/v1/workflows/{workflow_id}/executions", json={"wait_seconds": 5})
    url = f"/api/v1/executions/{started.json()['execution']['id']}"

    unknown = await server.client.get(url, params={"detail": "items", "node": "gret"})

    assert problem(unknown, 404, "execution.node_not_found")["hint"] == "Did you mean `greet`?"


async def test_a_version_that_a_node_type_does_not_have_is_told_apart_from_its_name(server: HttpServer) -> None:
    unknown = await server.client.get("/api/v1/nodes/flow.if", params={"version": 99})

    assert problem(unknown, 404, "node.version_not_found")["hint"] == "Its newest version is 1."


async def test_there_is_no_page_outside_the_prefix_but_for_health(server: HttpServer) -> None:
    problem(await server.stranger.get("/docs/oauth2-redirect"), 404, "request.path_unknown")


async def test_a_wrong_method_is_told_all_the_right_ones(server: HttpServer) -> None:
    refused = await server.client.patch("/api/v1/workflows/wf_1")

    problem(refused, 405, "request.method_not_allowed")
    assert refused.headers["allow"] == "DELETE, GET, PUT"


async def test_an_execution_can_be_read_when_its_workflow_is_gone(server: HttpServer) -> None:
    ada = {"items": [{"name": "Ada"}], "wait_seconds": 5}
    workflow_id = await server.create(GREETING)
    started = await server.client.post(f"/api/v1/workflows/{workflow_id}/executions", json=ada)
    execution_id = started.json()["execution"]["id"]
    await server.client.delete(f"/api/v1/workflows/{workflow_id}")
    server.runtime.services.plans._kept.clear()  # As after a restart.

    for path in (f"/api/v1/executions/{execution_id}", f"/api/v1/executions/{execution_id}/wait"):
        told = (await server.client.get(path)).json()
        assert told["execution"]["status"] == "succeeded"
        assert "succeeded" in {node["status"] for node in told["nodes"]}
