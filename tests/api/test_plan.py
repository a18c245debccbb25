"""How a version will be run, over HTTP."""

from typing import Any

from tests.api.test_app import GREETING, problem
from tests.http_server import HttpServer

BROKEN: dict[str, Any] = {**GREETING, "nodes": {**GREETING["nodes"], "greet": {"type": "data.set", "params": {"a": 1}}}}


async def test_a_version_is_explained_without_running_it(server: HttpServer) -> None:
    workflow_id = await server.create(GREETING)

    view = (await server.client.get(f"/api/v1/workflows/{workflow_id}/plan")).json()

    assert (view["workflow_id"], view["version"], view["executor"]) == (workflow_id, 1, "inprocess")
    assert sorted(key for segment in view["segments"] for key in segment["nodes"]) == sorted(GREETING["nodes"])
    assert all(segment["where"] == "runner" and segment["why"] for segment in view["segments"])


async def test_what_cannot_be_run_has_no_plan(server: HttpServer) -> None:
    workflow_id = await server.create(BROKEN)

    problem(await server.client.get(f"/api/v1/workflows/{workflow_id}/plan"), 422, "workflow.invalid")


async def test_a_workflow_or_version_that_is_not_there_has_no_plan(server: HttpServer) -> None:
    workflow_id = await server.create(GREETING)

    problem(await server.client.get("/api/v1/workflows/wf_none/plan"), 404, "workflow.not_found")
    answer = await server.client.get(f"/api/v1/workflows/{workflow_id}/plan", params={"version": 7})
    problem(answer, 404, "workflow.version_not_found")
