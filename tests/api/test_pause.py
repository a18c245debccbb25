"""Pausing and continuing over HTTP: no node starts meanwhile, and nothing is lost."""

from tests.api.test_app import problem, waiting
from tests.api.waits import approval, resting, start
from tests.gate import Gate
from tests.http_server import HttpServer, workflow


async def test_a_running_node_ends_and_the_next_does_not_start_until_continued(server: HttpServer, gate: Gate) -> None:
    document = waiting(gate)
    document["nodes"]["end"] = {"type": "data.set", "params": {"values": {"done": True}, "keep": False}}
    document["edges"].append({"from": "fetch", "to": "end"})
    workflow_id = await server.create(document)
    started = await server.client.post(f"/api/v1/workflows/{workflow_id}/executions")
    execution_id = started.json()["execution"]["id"]
    await gate.arrived.wait()

    paused = await server.client.post(f"/api/v1/executions/{execution_id}/pause")
    assert paused.status_code == 202
    gate.release.set()
    detail = await resting(server, execution_id, "paused")
    assert {node["key"]: node["status"] for node in detail["nodes"]} == {
        "start": "succeeded",
        "fetch": "succeeded",
        "end": "pending",
    }

    continued = await server.client.post(f"/api/v1/executions/{execution_id}/continue")
    assert continued.status_code == 202
    assert (await server.ended(execution_id))["result"]["items"] == [{"json": {"done": True}}]
    assert gate.requests == 1


async def test_one_that_waits_is_paused_too_and_its_answer_is_kept(server: HttpServer) -> None:
    execution_id = await start(server, approval())
    url = f"/api/v1/executions/{execution_id}"
    await server.client.post(f"{url}/pause")
    await server.client.post(f"{url}/waits/ask/answer", json={"answer": {"approved": True}})

    await resting(server, execution_id, "paused")
    waited = (await server.client.get(f"{url}/wait", params={"wait_seconds": 30})).json()
    assert (waited["execution"]["status"], waited["execution"]["waiting"]) == ("waiting", "paused")

    await server.client.post(f"{url}/continue")
    assert (await server.ended(execution_id))["execution"]["status"] == "succeeded"


async def test_what_has_ended_or_is_not_there_cannot_be_paused(server: HttpServer) -> None:
    workflow_id = await server.create(workflow({"start": ("trigger.manual", {})}))
    started = await server.client.post(f"/api/v1/workflows/{workflow_id}/executions", json={"wait_seconds": 10})

    for verb in ("pause", "continue"):
        ended = await server.client.post(f"/api/v1/executions/{started.json()['execution']['id']}/{verb}")
        problem(ended, 409, "execution.ended")
        problem(await server.client.post(f"/api/v1/executions/exe_none/{verb}"), 404, "execution.not_found")
