"""Reading an execution over HTTP: what its nodes did, also where the journal kept nothing of them."""

from typing import Any

from tests.http_server import HttpServer, workflow

MANUAL: tuple[str, dict[str, Any]] = ("trigger.manual", {})
SPLIT: tuple[str, dict[str, Any]] = ("flow.if", {"condition": "{{ $json.n > 1 }}"})
NO_OP: tuple[str, dict[str, Any]] = ("flow.no_op", {})


async def test_a_node_of_which_the_journal_kept_nothing_is_unrecorded_and_not_skipped(server: HttpServer) -> None:
    nodes = {"start": MANUAL, "split": SPLIT, "big": NO_OP, "end": NO_OP}
    edges = ("start", "split"), ("split.true", "big"), ("split.false", "end")
    workflow_id = await server.create(workflow(nodes, *edges, journal="end"))

    told = await run(server, workflow_id, {"n": 1})

    assert {node["key"]: node["status"] for node in told["nodes"]} == {
        "start": "succeeded",
        "split": "unrecorded",
        "big": "skipped",
        "end": "succeeded",
    }
    split = told["nodes"][1]
    assert (split["runs"], split["counts"], split["place"], split["started_at"]) == (0, {}, None, None)
    assert told["result"]["total"] == 1


async def test_unrecorded_is_a_status_of_nodes_in_the_schema(server: HttpServer) -> None:
    schema = (await server.client.get("/api/v1/openapi.json")).json()

    status = schema["components"]["schemas"]["NodeView"]["properties"]["status"]
    assert "unrecorded" in status["enum"]
    assert "settings.journal" in status["description"]


async def run(server: HttpServer, workflow_id: str, item: dict[str, Any]) -> Any:
    """An execution, as it is told once it has ended."""
    body = {"items": [item], "wait_seconds": 10}
    started = await server.client.post(f"/api/v1/workflows/{workflow_id}/executions", json=body)
    return (await server.client.get(f"/api/v1/executions/{started.json()['execution']['id']}")).json()
