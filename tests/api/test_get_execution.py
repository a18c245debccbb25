"""Reading an execution over HTTP: what its nodes did, also where the journal kept nothing of them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from budflow.model.event import StoredEvent
from budflow.storage.memory.store import MemoryStore
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


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (lambda rows: [], "journal.unreadable"),
        (lambda rows: rows[1:], "journal.unreadable"),
        (lambda rows: rows[:-1], "journal.unreadable"),
        (lambda rows: [*rows[:1], *rows[2:]], "journal.unreadable"),
        (lambda rows: [replace(rows[0], payload=b"{}"), *rows[1:]], "journal.unreadable"),
        (lambda rows: [*rows[:-1], replace(rows[-1], version=99)], "journal.newer_release"),
    ],
)
async def test_of_an_execution_with_a_damaged_journal_the_row_is_told_and_why_no_more(
    server: HttpServer, damage: Callable[[list[StoredEvent]], list[StoredEvent]], code: str
) -> None:
    told = await run(server, await server.create(workflow({"start": MANUAL})), {"n": 1})
    execution_id = told["execution"]["id"]
    store = server.runtime.services.store
    assert isinstance(store, MemoryStore)
    rows = store._tables.journals[execution_id]
    rows[:] = damage(rows)

    answer = await server.client.get(f"/api/v1/executions/{execution_id}")
    assert answer.status_code == 200
    assert answer.json()["execution"] == told["execution"]
    assert answer.json()["nodes"] == []
    assert answer.json()["result"] is None
    assert answer.json()["problem"]["code"] == code
    retried = await server.client.post(f"/api/v1/executions/{execution_id}/fork", json={})
    assert retried.json()["code"] == code


async def test_an_execution_of_a_type_that_is_gone_is_still_told(server: HttpServer) -> None:
    told = await run(server, await server.create(workflow({"start": MANUAL})), {"n": 1})
    store = server.runtime.services.store
    assert isinstance(store, MemoryStore)
    [version] = store._versions[told["execution"]["workflow_id"]]
    store._versions[version.workflow_id] = [replace(version, document=workflow({"start": ("gone.type", {})}))]
    server.runtime.services.plans._kept.clear()

    answer = await server.client.get(f"/api/v1/executions/{told['execution']['id']}")

    assert (answer.status_code, answer.json()["problem"]["code"]) == (200, "node.unknown_type")


async def run(server: HttpServer, workflow_id: str, item: dict[str, Any]) -> Any:
    """An execution, as it is told once it has ended."""
    body = {"items": [item], "wait_seconds": 10}
    started = await server.client.post(f"/api/v1/workflows/{workflow_id}/executions", json=body)
    return (await server.client.get(f"/api/v1/executions/{started.json()['execution']['id']}")).json()
