"""Publishing a workflow whose error workflow nobody could start: refused, or told."""

from typing import Any

from tests.api.test_app import problem
from tests.http_server import HttpServer, workflow

MANUAL: tuple[str, dict[str, Any]] = ("trigger.manual", {})
WATCHER = workflow({"heard": ("trigger.error", {})}, name="Watcher")


def watched(error_workflow: str, **more: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    return workflow({"start": MANUAL, **more}, name="Watched", error_workflow=error_workflow)


async def publish(server: HttpServer, workflow_id: str) -> Any:
    return await server.client.post(f"/api/v1/workflows/{workflow_id}/publish", json={})


async def test_one_that_can_hear_of_a_failure_is_fine(server: HttpServer) -> None:
    watcher = await server.publish(WATCHER)

    published = await publish(server, await server.create(watched(watcher)))

    assert (published.status_code, published.json()["problems"]) == (200, [])


async def test_one_that_is_not_there_is_refused_though_it_may_be_saved(server: HttpServer) -> None:
    refused = problem(await publish(server, await server.create(watched("wf_none"))), 422, "workflow.invalid")

    [found] = refused["problems"]
    assert (found["code"], found["path"]) == ("settings.error_workflow_unknown", "/settings/error_workflow")
    assert found["blocks"] == "publish"


async def test_one_without_a_trigger_for_failures_is_refused(server: HttpServer) -> None:
    other = await server.publish(workflow({"start": MANUAL}, name="Other"))

    refused = problem(await publish(server, await server.create(watched(other))), 422, "workflow.invalid")

    assert refused["problems"][0]["code"] == "settings.error_workflow_unusable"
    assert refused["problems"][0]["message"] == f"`{other}` has no `trigger.error`, so no failure can start it."


async def test_one_that_is_not_published_yet_is_told_and_forbids_nothing(server: HttpServer) -> None:
    watcher = await server.create(WATCHER)

    published = (await publish(server, await server.create(watched(watcher)))).json()

    assert published["workflow"]["published_version"] == 1
    [found] = published["problems"]
    assert (found["code"], found["blocks"]) == ("settings.error_workflow_unusable", "nothing")
    assert found["message"] == "The workflow `Watcher` has no published version."


async def test_a_workflow_may_hear_of_its_own_failures_only_by_a_trigger_for_them(server: HttpServer) -> None:
    itself = await server.create(WATCHER)
    url = f"/api/v1/workflows/{itself}"

    await server.client.put(url, json={"document": watched(itself), "expected_version": 1})
    problem(await publish(server, itself), 422, "workflow.invalid")

    with_trigger = watched(itself, heard=("trigger.error", {}))
    await server.client.put(url, json={"document": with_trigger, "expected_version": 2})
    assert (await publish(server, itself)).json()["problems"] == []


async def test_going_back_to_a_version_that_nobody_may_publish_stores_nothing(server: HttpServer) -> None:
    workflow_id = await server.create(watched("wf_none"))
    url = f"/api/v1/workflows/{workflow_id}"
    await server.client.put(url, json={"document": WATCHER, "expected_version": 1})

    answer = await server.client.post(f"{url}/rollback", json={"version": 1, "publish": True})

    problem(answer, 422, "workflow.invalid")
    assert (await server.client.get(url)).json()["workflow"]["latest_version"] == 2
