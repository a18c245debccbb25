"""Workflows that wait, and what the tests of waiting ask of a server."""

from typing import Any

from tests.http_server import HttpServer, workflow
from tests.until import until


def waiting_for(mode: str, **params: Any) -> dict[str, Any]:
    """A workflow that waits once, then sets `done`."""
    port = "ask.approved" if mode == "approval" else "ask"
    return workflow(
        {
            "start": ("trigger.manual", {}),
            "ask": ("flow.wait", {"mode": mode, **params}),
            "end": ("data.set", {"values": {"done": True}}),
        },
        ("start", "ask"),
        (port, "end"),
    )


def approval(**params: Any) -> dict[str, Any]:
    return waiting_for("approval", text="Pay <b>900</b> EUR?", **params)


def approvals_in_a_loop() -> dict[str, Any]:
    """Three rounds, each of which waits for a decision, all at once."""
    document = workflow(
        {"start": ("trigger.manual", {}), "each": ("flow.for_each", {"concurrency": 10})}, ("start", "each")
    )
    ask = {"type": "flow.wait", "params": {"mode": "approval", "text": "Order {{ $json.id }}?"}}
    edges = [{"from": "$in", "to": "ask"}, {"from": "ask.approved", "to": "$out"}]
    document["nodes"]["each"]["bodies"] = {"body": {"nodes": {"ask": ask}, "edges": edges}}
    return document


async def start(server: HttpServer, document: dict[str, Any], *items: dict[str, Any]) -> str:
    """The id of an execution that waits."""
    workflow_id = await server.create(document)
    body = {"items": list(items or ({},)), "wait_seconds": 10}
    started = await server.client.post(f"/api/v1/workflows/{workflow_id}/executions", json=body)
    assert started.json()["execution"]["status"] == "waiting", started.text
    execution_id: str = started.json()["execution"]["id"]
    return execution_id


async def waits(server: HttpServer, **params: Any) -> list[dict[str, Any]]:
    answer = await server.client.get("/api/v1/waits", params=params)
    found: list[dict[str, Any]] = answer.json()["waits"]
    return found


async def resting(server: HttpServer, execution_id: str, reason: str) -> dict[str, Any]:
    """The execution, once it rests for this reason."""

    async def rests() -> bool:
        row = await server.runtime.services.store.get_execution("default", execution_id)
        return row is not None and row.status == "waiting" and row.waiting == reason

    await until(rests)
    detail: dict[str, Any] = (await server.client.get(f"/api/v1/executions/{execution_id}")).json()
    return detail
