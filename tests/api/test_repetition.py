"""Retrying and forking executions over HTTP: what was done is done once, what is missing runs."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.api.test_app import problem
from tests.gate import Gate
from tests.http_server import HttpServer, workflow
from tests.outside import Outside, open_outside

MANUAL = ("trigger.manual", {})


@pytest.fixture
async def outside() -> AsyncIterator[Outside]:
    async with open_outside() as outside:
        yield outside


def post(url: str) -> tuple[str, dict[str, Any]]:
    return ("http.request", {"url": url, "method": "POST"})


def chain(outside: Outside) -> dict[str, Any]:
    nodes = {"start": MANUAL, **{key: post(f"{outside.url}/{key}") for key in ("a", "b", "c")}}
    return workflow(nodes, ("start", "a"), ("a", "b"), ("b", "c"))


async def run(server: HttpServer, workflow_id: str, **body: Any) -> dict[str, Any]:
    answer = await server.client.post(f"/api/v1/workflows/{workflow_id}/executions", json={"wait_seconds": 10, **body})
    detail: dict[str, Any] = answer.json()
    return detail


async def repeat(server: HttpServer, how: str, execution_id: str, **body: Any) -> Any:
    return await server.client.post(f"/api/v1/executions/{execution_id}/{how}", json={"wait_seconds": 10, **body})


async def test_a_retry_goes_on_from_the_last_good_nodes(server: HttpServer, outside: Outside) -> None:
    workflow_id = await server.create(chain(outside))
    outside.failing = {"/b"}
    failed = (await run(server, workflow_id))["execution"]
    assert failed["status"] == "failed"
    outside.failing = set()

    retried = (await repeat(server, "retry", failed["id"])).json()

    assert retried["execution"]["status"] == "succeeded"
    assert retried["execution"]["origin"] == {"execution_id": failed["id"], "kind": "retry", "node": None}
    assert outside.paths() == ["/a", "/b", "/b", "/c"]
    keys = [request.headers["idempotency-key"] for request in outside.requests]
    assert keys[1] == keys[2]
    assert retried["execution"]["traceparent"].split("-")[1] == failed["traceparent"].split("-")[1]
    assert [node["status"] for node in retried["nodes"]] == ["succeeded"] * 4
    assert (await server.ended(failed["id"]))["execution"]["status"] == "failed"


async def test_a_retry_works_only_on_the_items_that_are_open(server: HttpServer, outside: Outside) -> None:
    nodes = {"start": MANUAL, "call": post(outside.url + "/{{ $json.n }}")}
    workflow_id = await server.create(workflow(nodes, ("start", "call")))
    outside.failing = {"/1"}
    failed = await run(server, workflow_id, items=[{"n": n} for n in range(4)])
    assert sorted(outside.paths()) == ["/0", "/1", "/2", "/3"]
    outside.failing = set()

    retried = (await repeat(server, "retry", failed["execution"]["id"])).json()

    assert retried["execution"]["status"] == "succeeded"
    assert retried["result"]["total"] == 4
    assert outside.paths()[4:] == ["/1"]


async def test_a_retry_goes_on_in_the_middle_of_a_loop_and_calls_nobody_twice(
    server: HttpServer, outside: Outside
) -> None:
    callee = await server.publish(workflow({"start": MANUAL, "done": post(f"{outside.url}/called")}, ("start", "done")))
    inner = {
        "nodes": {
            "sub": {"type": "flow.sub_workflow", "params": {"workflow": callee}},
            "call": {"type": "http.request", "params": {"url": outside.url + "/{{ $node.start.json.n }}"}},
        },
        "edges": [{"from": "$in", "to": "sub"}, {"from": "sub", "to": "call"}, {"from": "call", "to": "$out"}],
    }
    document = workflow({"start": MANUAL, "each": ("flow.for_each", {"concurrency": 5})}, ("start", "each"))
    document["nodes"]["each"]["bodies"] = {"body": inner}
    workflow_id = await server.create(document)
    outside.failing = {"/1"}
    failed = await run(server, workflow_id, items=[{"n": n} for n in range(3)])
    assert failed["execution"]["status"] == "failed"
    before = len(outside.requests)
    assert outside.paths().count("/called") == 3
    outside.failing = set()

    retried = (await repeat(server, "retry", failed["execution"]["id"])).json()

    assert retried["execution"]["status"] == "succeeded", retried
    assert retried["result"]["total"] == 3
    assert "/called" not in outside.paths()[before:]
    assert "/1" in outside.paths()[before:]


async def test_only_what_failed_or_was_cancelled_is_retried(server: HttpServer, outside: Outside, gate: Gate) -> None:
    good = await run(server, await server.create(chain(outside)))
    problem(await repeat(server, "retry", good["execution"]["id"]), 409, "execution.nothing_to_retry")
    problem(await repeat(server, "retry", "exe_none"), 404, "execution.not_found")

    waiting = await server.create(workflow({"start": MANUAL, "call": post(gate.url)}, ("start", "call")))
    running = await run(server, waiting, wait_seconds=0)
    problem(await repeat(server, "retry", running["execution"]["id"]), 409, "execution.not_ended")
    problem(await repeat(server, "fork", running["execution"]["id"], node="call"), 409, "execution.not_ended")


async def test_a_cancelled_execution_goes_on_where_it_was(server: HttpServer, outside: Outside, gate: Gate) -> None:
    nodes = {"start": MANUAL, "a": post(f"{outside.url}/a"), "wait": ("http.request", {"url": gate.url})}
    workflow_id = await server.create(workflow(nodes, ("start", "a"), ("a", "wait")))
    running = await run(server, workflow_id, wait_seconds=0)
    await gate.arrived.wait()
    await server.client.post(f"/api/v1/executions/{running['execution']['id']}/cancel")
    await server.ended(running["execution"]["id"])
    gate.release.set()

    retried = (await repeat(server, "retry", running["execution"]["id"])).json()

    assert retried["execution"]["status"] == "succeeded"
    assert outside.paths() == ["/a"]


async def test_a_fork_runs_again_from_its_node_on_with_effects_of_its_own(server: HttpServer, outside: Outside) -> None:
    first = await run(server, await server.create(chain(outside)))

    forked = (await repeat(server, "fork", first["execution"]["id"], node="b")).json()

    assert forked["execution"]["status"] == "succeeded"
    assert forked["execution"]["origin"] == {
        "execution_id": first["execution"]["id"],
        "kind": "fork",
        "node": "b",
    }
    assert outside.paths() == ["/a", "/b", "/c", "/b", "/c"]
    assert len({request.headers["idempotency-key"] for request in outside.requests}) == 5


async def test_a_fork_takes_another_version_when_nothing_before_its_node_changed(
    server: HttpServer, outside: Outside
) -> None:
    document = chain(outside)
    workflow_id = await server.create(document)
    outside.failing = {"/b"}
    failed = (await run(server, workflow_id))["execution"]
    mended = {**document, "nodes": {**document["nodes"], "b": {"type": "data.set", "params": {"values": {"x": 1}}}}}
    url = f"/api/v1/workflows/{workflow_id}"
    await server.client.put(url, json={"document": mended, "expected_version": 1})

    forked = (await repeat(server, "fork", failed["id"], node="b", version=2)).json()
    assert (forked["execution"]["status"], forked["execution"]["version"]) == ("succeeded", 2)
    assert outside.paths() == ["/a", "/b", "/c"]

    refused = problem(await repeat(server, "fork", failed["id"], node="c", version=2), 409, "execution.version_differs")
    assert refused["details"] == {"nodes": ["b"]}


async def test_a_fork_with_other_items_runs_everything(server: HttpServer, outside: Outside) -> None:
    first = (await run(server, await server.create(chain(outside))))["execution"]["id"]

    forked = await repeat(server, "fork", first, items=[{}, {}])
    assert forked.json()["nodes"][0]["counts"] == {"main": 2}
    assert outside.paths().count("/a") == 3

    problem(await repeat(server, "fork", first, items=[{}], node="b"), 422, "execution.fork_items_unused")


async def test_a_fork_from_nowhere_is_refused(server: HttpServer, outside: Outside) -> None:
    workflow_id = await server.create(chain(outside))
    outside.failing = {"/b"}
    failed = (await run(server, workflow_id))["execution"]["id"]

    assert "`a`" in problem(await repeat(server, "fork", failed, node="aa"), 422, "execution.no_such_fork_node")["hint"]
    problem(await repeat(server, "fork", failed, node="a[0]"), 422, "execution.no_such_fork_node")
    problem(await repeat(server, "fork", failed, node="c"), 409, "execution.node_did_not_run")


async def test_what_is_repeated_is_kept_in_the_limit_of_its_workflow(server: HttpServer, outside: Outside) -> None:
    workflow_id = await server.create({**chain(outside), "settings": {"max_concurrency": 1}})
    outside.failing = {"/b"}
    failed = (await run(server, workflow_id))["execution"]["id"]
    outside.failing = set()

    assert (await repeat(server, "retry", failed)).json()["execution"]["status"] == "succeeded"
    assert outside.paths() == ["/a", "/b", "/b", "/c"]


async def test_nothing_of_a_deleted_workflow_is_repeated(server: HttpServer, outside: Outside) -> None:
    workflow_id = await server.create(chain(outside))
    outside.failing = {"/a"}
    failed = (await run(server, workflow_id))["execution"]["id"]
    await server.client.delete(f"/api/v1/workflows/{workflow_id}")

    problem(await repeat(server, "retry", failed), 404, "workflow.not_found")
