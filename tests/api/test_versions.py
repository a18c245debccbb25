"""Versions over HTTP: what changed from one to another, and back to one that worked."""

from typing import Any

import pytest

from tests.api.test_app import GREETING, problem
from tests.http_server import HttpServer

ROUTES: list[dict[str, Any]] = [{"from": "start", "to": "greet"}]


@pytest.fixture
async def changed(server: HttpServer) -> str:
    """The id of a workflow with two versions, of which the second lost an edge and says something else."""
    workflow_id = await server.create(GREETING)
    greet = {"type": "data.set", "params": {"values": {"text": "Bye"}, "keep": False}}
    document = {**GREETING, "nodes": {**GREETING["nodes"], "greet": greet}, "edges": ROUTES}
    saved = await server.client.put(
        f"/api/v1/workflows/{workflow_id}", json={"document": document, "expected_version": 1}
    )
    assert saved.json()["version"] == 2
    return workflow_id


async def test_two_versions_are_compared_by_what_they_mean(server: HttpServer, changed: str) -> None:
    view = (await server.client.get(f"/api/v1/workflows/{changed}/diff")).json()

    assert (view["before"], view["after"], view["equal"]) == (1, 2, False)
    [node] = view["nodes"]
    assert node["changes"] == [{"path": "/params/values/text", "before": "Hello, {{ $json.name }}!", "after": "Bye"}]
    assert view["edges"] == [{"kind": "removed", "source": "hook", "target": "greet", "path": ""}]
    same = await server.client.get(f"/api/v1/workflows/{changed}/diff", params={"before": 2, "after": 2})
    assert same.json()["equal"]


async def test_a_version_that_is_not_there_cannot_be_compared(server: HttpServer, changed: str) -> None:
    answer = await server.client.get(f"/api/v1/workflows/{changed}/diff", params={"before": 9})

    problem(answer, 404, "workflow.version_not_found")


async def test_an_old_version_becomes_the_newest_and_is_published_when_asked(server: HttpServer, changed: str) -> None:
    url = f"/api/v1/workflows/{changed}"

    saved = await server.client.post(f"{url}/rollback", json={"version": 1})
    assert (saved.status_code, saved.json()["version"]) == (201, 3)
    assert saved.json()["workflow"]["published_version"] is None
    assert (await server.client.get(f"{url}/diff", params={"before": 1, "after": 3})).json()["equal"]

    live = await server.client.post(f"{url}/rollback", json={"version": 2, "publish": True})
    assert live.json()["workflow"]["published_version"] == 4


async def test_going_back_to_the_latest_is_refused(server: HttpServer, changed: str) -> None:
    answer = await server.client.post(f"/api/v1/workflows/{changed}/rollback", json={"version": 2})

    problem(answer, 409, "workflow.version_is_latest")


async def test_going_back_behind_somebody_elses_change_is_refused(server: HttpServer, changed: str) -> None:
    body = {"version": 1, "expected_version": 1}

    problem(
        await server.client.post(f"/api/v1/workflows/{changed}/rollback", json=body), 409, "workflow.version_conflict"
    )
