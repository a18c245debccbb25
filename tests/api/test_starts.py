"""Starting executions over HTTP: twice with one key, within limits, in part, with pinned data, checked, and traced."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from budflow.model.traceparent import is_traceparent
from tests.api.test_app import problem
from tests.gate import Gate
from tests.http_server import HttpServer, workflow
from tests.outside import Outside, open_outside

MANUAL = ("trigger.manual", {})
GREETING = workflow(
    {"start": MANUAL, "greet": ("data.set", {"values": {"text": "Hello, {{ $json.name }}!"}})}, ("start", "greet")
)
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture
async def outside() -> AsyncIterator[Outside]:
    async with open_outside() as outside:
        yield outside


def calling(url: str, **settings: Any) -> dict[str, Any]:
    nodes = {"start": MANUAL, "call": ("http.request", {"url": url, "method": "POST"})}
    return workflow(nodes, ("start", "call"), **settings)


async def start(server: HttpServer, workflow_id: str, key: str | None = None, **body: Any) -> Any:
    headers = {} if key is None else {"Idempotency-Key": key}
    return await server.client.post(f"/api/v1/workflows/{workflow_id}/executions", json=body, headers=headers)


async def count(server: HttpServer) -> int:
    return len((await server.client.get("/api/v1/executions")).json()["executions"])


# --- idempotency keys -------------------------------------------------------------------------------------------------


async def test_an_equal_start_with_the_same_key_gets_the_first_execution_as_it_is_now(server: HttpServer) -> None:
    workflow_id = await server.create(GREETING)

    first = await start(server, workflow_id, "order-1", items=[{"name": "Ada"}])
    second = await start(server, workflow_id, "order-1", items=[{"name": "Ada"}], wait_seconds=10)

    assert (first.status_code, second.status_code) == (202, 202)
    assert second.json()["execution"]["id"] == first.json()["execution"]["id"]
    assert second.json()["execution"]["status"] == "succeeded"
    assert second.json()["result"]["items"][0]["json"]["text"] == "Hello, Ada!"
    assert await count(server) == 1


async def test_another_start_with_the_same_key_is_refused(server: HttpServer) -> None:
    workflow_id = await server.create(GREETING)
    await start(server, workflow_id, "order-1", items=[{"name": "Ada"}])

    problem(await start(server, workflow_id, "order-1", items=[{"name": "Tim"}]), 409, "execution.key_reused")
    problem(
        await start(server, workflow_id, "order-1", items=[{"name": "Ada"}], version=1), 409, "execution.key_reused"
    )
    assert await count(server) == 1


async def test_a_key_belongs_to_one_workflow(server: HttpServer) -> None:
    ids = [await server.create(GREETING) for _ in range(2)]

    assert {(await start(server, one, "order-1", items=[{"name": "Ada"}])).status_code for one in ids} == {202}
    assert await count(server) == 2


async def test_of_many_equal_starts_at_once_exactly_one_is_carried_out(server: HttpServer, outside: Outside) -> None:
    workflow_id = await server.create(calling(outside.url))

    answers = await asyncio.gather(*(start(server, workflow_id, "once", wait_seconds=10) for _ in range(20)))

    assert {answer.json()["execution"]["status"] for answer in answers} == {"succeeded"}
    assert len({answer.json()["execution"]["id"] for answer in answers}) == 1
    assert len(outside.requests) == 1


@pytest.mark.parametrize("key", ["", "x" * 256, "two words", "naïve"])
async def test_a_key_of_other_characters_or_of_no_or_too_many_is_refused(server: HttpServer, key: str) -> None:
    workflow_id = await server.create(GREETING)

    refused = problem(
        await server.client.post(
            "/api/v1/executions", json={"workflow_id": workflow_id}, headers={"Idempotency-Key": key.encode()}
        ),
        422,
        "request.invalid",
    )

    assert refused["problems"][0]["path"] == "/idempotency_key"


async def test_two_keys_are_one_too_many(server: HttpServer) -> None:
    workflow_id = await server.create(GREETING)
    keys = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]

    answer = await server.client.post("/api/v1/executions", json={"workflow_id": workflow_id}, headers=keys)

    assert answer.status_code == 422


# --- limits -----------------------------------------------------------------------------------------------------------


async def test_what_is_beyond_the_limit_waits_in_the_queue(server: HttpServer, gate: Gate) -> None:
    workflow_id = await server.create(calling(gate.url, max_concurrency=1))
    ids = [(await start(server, workflow_id)).json()["execution"]["id"] for _ in range(3)]
    await gate.arrived.wait()

    statuses = {(await server.client.get(f"/api/v1/executions/{one}")).json()["execution"]["status"] for one in ids}
    assert statuses == {"running", "queued"}
    assert gate.requests == 1

    gate.release.set()
    assert {(await server.ended(one))["execution"]["status"] for one in ids} == {"succeeded"}


async def test_what_is_beyond_the_limit_is_dropped_where_the_workflow_says_so(server: HttpServer, gate: Gate) -> None:
    document = calling(gate.url, concurrency_key="{{ $json.customer }}", concurrency_policy="drop")
    workflow_id = await server.create(document)
    await start(server, workflow_id, items=[{"customer": "ada"}])

    dropped = await start(server, workflow_id, items=[{"customer": "ada"}])
    other = await start(server, workflow_id, items=[{"customer": "tim"}])

    problem(dropped, 429, "execution.limit_reached")
    assert int(dropped.headers["retry-after"]) > 0
    assert other.status_code == 202
    assert await count(server) == 2


async def test_a_key_that_cannot_be_made_is_told_before_anything_is_stored(server: HttpServer) -> None:
    workflow_id = await server.create({**GREETING, "settings": {"concurrency_key": "{{ $json.customer }}"}})

    refused = problem(await start(server, workflow_id), 422, "execution.concurrency_key_failed")

    assert "$json.customer" in refused["detail"]
    assert await count(server) == 0


async def test_a_called_workflow_keeps_its_limit(server: HttpServer, gate: Gate) -> None:
    callee = await server.publish(calling(gate.url, max_concurrency=1))
    params = {"workflow": callee, "call": "per_item", "concurrency": 5}
    caller = await server.create(workflow({"start": MANUAL, "sub": ("flow.sub_workflow", params)}, ("start", "sub")))
    started = await start(server, caller, items=[{}, {}, {}])
    await gate.arrived.wait()

    assert gate.requests == 1
    gate.release.set()
    ended = await server.ended(started.json()["execution"]["id"])
    assert ended["execution"]["status"] == "succeeded"
    assert gate.requests == 3


async def test_cancelling_a_caller_reaches_the_calls_that_wait_in_the_queue(server: HttpServer, gate: Gate) -> None:
    callee = await server.publish(calling(gate.url, max_concurrency=1))
    params = {"workflow": callee, "call": "per_item", "concurrency": 5}
    caller = await server.create(workflow({"start": MANUAL, "sub": ("flow.sub_workflow", params)}, ("start", "sub")))
    started = await start(server, caller, items=[{}, {}, {}])
    execution_id = started.json()["execution"]["id"]
    await gate.arrived.wait()

    await server.client.post(f"/api/v1/executions/{execution_id}/cancel")
    gate.release.set()

    assert (await server.ended(execution_id))["execution"]["status"] == "cancelled"
    assert gate.requests == 1


async def test_a_caller_hears_of_a_call_that_is_cancelled_in_the_queue(server: HttpServer, gate: Gate) -> None:
    callee = await server.publish(calling(gate.url, max_concurrency=1))
    await start(server, callee)
    await gate.arrived.wait()
    caller = await server.create(
        workflow({"start": MANUAL, "sub": ("flow.sub_workflow", {"workflow": callee})}, ("start", "sub"))
    )
    started = await start(server, caller)

    called: list[str] = []
    async with asyncio.timeout(5):
        while not called:
            listed = await server.client.get("/api/v1/executions", params={"status": "queued"})
            called = [one["id"] for one in listed.json()["executions"] if one["mode"] == "child"]
            await asyncio.sleep(0.01)
    await server.client.post(f"/api/v1/executions/{called[0]}/cancel")
    gate.release.set()

    ended = await server.ended(started.json()["execution"]["id"])
    assert (ended["execution"]["status"], ended["execution"]["failure"]["code"]) == ("failed", "execution.cancelled")


async def test_a_higher_priority_leaves_the_queue_first(server: HttpServer, gate: Gate) -> None:
    workflow_id = await server.create(calling(gate.url, max_concurrency=1))
    ids = [(await start(server, workflow_id)).json()["execution"]["id"]]
    await gate.arrived.wait()
    ids += [(await start(server, workflow_id, priority=priority)).json()["execution"]["id"] for priority in (-50, 50)]
    gate.release.set()

    ended = [(await server.ended(one))["execution"]["finished_at"] for one in ids]
    assert sorted(ended) == [ended[0], ended[2], ended[1]]


# --- in part, pinned, checked -----------------------------------------------------------------------------------------


async def test_a_partial_run_ends_at_its_node(server: HttpServer, outside: Outside) -> None:
    nodes = {
        "start": MANUAL,
        "first": ("data.set", {"values": {"x": 1}}),
        "other": ("http.request", {"url": f"{outside.url}/other"}),
        "second": ("http.request", {"url": f"{outside.url}/second"}),
    }
    workflow_id = await server.create(workflow(nodes, ("start", "first"), ("start", "other"), ("first", "second")))

    ran = (await start(server, workflow_id, until_node="first", wait_seconds=10)).json()

    assert ran["execution"]["status"] == "succeeded"
    assert ran["result"]["items"] == [{"json": {"x": 1}}]
    assert [node["key"] for node in ran["nodes"]] == ["start", "first"]
    assert outside.requests == []


async def test_a_part_of_a_draft_runs_though_the_rest_cannot(server: HttpServer) -> None:
    broken = {**GREETING, "nodes": {**GREETING["nodes"], "later": {"type": "data.nothing"}}}
    workflow_id = await server.create(broken)

    ran = await start(server, workflow_id, until_node="greet", items=[{"name": "Ada"}], wait_seconds=10)

    assert ran.json()["execution"]["status"] == "succeeded"
    problem(await start(server, workflow_id, items=[{"name": "Ada"}]), 422, "workflow.invalid")


async def test_a_partial_run_up_to_nowhere_is_refused(server: HttpServer) -> None:
    workflow_id = await server.create(GREETING)

    assert "greet" in problem(await start(server, workflow_id, until_node="gret"), 422, "workflow.no_such_node")["hint"]


async def test_with_pinned_data_a_node_does_not_run(server: HttpServer, outside: Outside) -> None:
    document = calling(outside.url)
    document["nodes"]["call"]["pinned"] = [{"status": 200, "body": {"id": 7}}]
    workflow_id = await server.create(document)

    tested = (await start(server, workflow_id, use_pinned=True, wait_seconds=10)).json()
    assert tested["result"]["items"] == [{"json": {"status": 200, "body": {"id": 7}}}]
    assert outside.requests == []

    await start(server, workflow_id, wait_seconds=10)
    assert len(outside.requests) == 1


async def test_items_that_do_not_fit_the_inputs_are_refused_and_nothing_is_stored(server: HttpServer) -> None:
    inputs = {"name": {"type": "string", "required": True}, "greeting": {"type": "string", "default": "Hello"}}
    text = {"text": "{{ $json.greeting }}, {{ $json.name }}!"}
    nodes = {"start": ("trigger.manual", {"inputs": inputs}), "greet": ("data.set", {"values": text, "keep": False})}
    workflow_id = await server.create(workflow(nodes, ("start", "greet")))

    refused = problem(await start(server, workflow_id, items=[{"name": "Ada"}, {}]), 422, "workflow.input_invalid")
    assert refused["details"] == {"field": "name", "item": 1}
    assert await count(server) == 0

    ran = (await start(server, workflow_id, items=[{"name": "Ada"}], wait_seconds=10)).json()
    assert ran["result"]["items"] == [{"json": {"text": "Hello, Ada!"}}]
    read = (await server.client.get(f"/api/v1/workflows/{workflow_id}")).json()
    assert read["inputs"]["start"]["name"]["required"] is True
    published = await server.client.post(f"/api/v1/workflows/{workflow_id}/publish")
    assert published.json()["inputs"]["start"]["greeting"]["default"] == "Hello"


# --- traces -----------------------------------------------------------------------------------------------------------


async def test_the_trace_of_the_start_goes_on_to_requests_and_called_workflows(
    server: HttpServer, outside: Outside
) -> None:
    callee = await server.publish(calling(outside.url))
    nodes = {
        "start": MANUAL,
        "own": ("http.request", {"url": outside.url}),
        "sub": ("flow.sub_workflow", {"workflow": callee}),
    }
    workflow_id = await server.create(workflow(nodes, ("start", "own"), ("own", "sub")))

    ran = await server.client.post(
        f"/api/v1/workflows/{workflow_id}/executions",
        json={"wait_seconds": 10},
        headers={"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"},
    )

    own, called = (request.headers["traceparent"] for request in outside.requests)
    assert ran.json()["execution"]["traceparent"] == own
    assert own.split("-")[1] == called.split("-")[1] == TRACE
    assert own.split("-")[2] != called.split("-")[2]


async def test_a_malformed_trace_is_ignored(server: HttpServer) -> None:
    workflow_id = await server.create(GREETING)

    started = await server.client.post(
        f"/api/v1/workflows/{workflow_id}/executions", json={}, headers={"traceparent": "nonsense"}
    )

    assert is_traceparent(started.json()["execution"]["traceparent"])
