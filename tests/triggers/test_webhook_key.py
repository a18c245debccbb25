"""A webhook's request that is sent twice with one idempotency key is carried out once, and answered twice."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from budflow.triggers.webhook import WebhookRequest
from budflow.triggers.webhook_key import KeyMalformed, request_key
from tests.gate import Gate, open_gate
from tests.http_server import HttpServer, open_http_server, workflow

EXECUTION = "X-Budflow-Execution"


@pytest.fixture
async def server() -> AsyncIterator[HttpServer]:
    async with open_http_server(http_allow=("127.0.0.1",)) as server:
        yield server


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    async with open_gate() as gate:
        yield gate


def document(gate: Gate, respond: str, **settings: Any) -> dict[str, Any]:
    nodes = {
        "hook": ("trigger.webhook", {"path": "pay/{who}", "respond": respond, "methods": ["POST", "PUT"]}),
        "fetch": ("http.request", {"url": gate.url}),
        "paid": ("data.set", {"values": {"paid": "{{ $node.hook.json.params.who }}"}, "keep": False}),
    }
    return workflow(nodes, ("hook", "fetch"), ("fetch", "paid"), **settings)


async def send(server: HttpServer, key: str, body: str = "{}", who: str = "ada", **more: Any) -> Any:
    headers = {"Idempotency-Key": key, "Content-Type": "application/json", **more}
    return await server.stranger.post(f"/webhook/pay/{who}", content=body, headers=headers)


async def test_the_second_request_waits_for_the_answer_of_the_first(server: HttpServer, gate: Gate) -> None:
    await server.publish(document(gate, "last_node"))
    first = asyncio.create_task(send(server, "pay-1"))
    await gate.arrived.wait()
    second = asyncio.create_task(send(server, "pay-1"))
    await asyncio.sleep(0)
    gate.release.set()

    answers = await asyncio.gather(first, second)

    assert [answer.json() for answer in answers] == [{"paid": "ada"}] * 2
    assert answers[0].headers[EXECUTION] == answers[1].headers[EXECUTION]
    assert gate.requests == 1


async def test_a_request_that_comes_later_gets_the_answer_that_is_there(server: HttpServer, gate: Gate) -> None:
    await server.publish(document(gate, "last_node"))
    gate.release.set()

    first, second = [await send(server, "pay-1") for _ in range(2)]

    assert second.json() == first.json() == {"paid": "ada"}
    assert second.headers[EXECUTION] == first.headers[EXECUTION]
    assert gate.requests == 1


async def test_of_many_equal_requests_at_once_exactly_one_is_carried_out(server: HttpServer, gate: Gate) -> None:
    await server.publish(document(gate, "immediately"))

    answers = await asyncio.gather(*(send(server, "pay-1") for _ in range(20)))
    gate.release.set()

    assert {answer.status_code for answer in answers} == {202}
    [execution_id] = {answer.json()["execution_id"] for answer in answers}
    await server.ended(execution_id)
    assert gate.requests == 1


@pytest.mark.parametrize("other", [{"body": '{"total": 1}'}, {"who": "tim"}, {"Content-Type": "text/plain"}])
async def test_a_request_that_means_something_else_is_refused(
    server: HttpServer, gate: Gate, other: dict[str, Any]
) -> None:
    await server.publish(document(gate, "immediately"))
    await send(server, "pay-1")

    refused = await send(server, "pay-1", **other)

    assert (refused.status_code, refused.json()["code"]) == (409, "execution.key_reused")


async def test_other_headers_mean_nothing(server: HttpServer, gate: Gate) -> None:
    await server.publish(document(gate, "immediately"))

    first, second = [await send(server, "pay-1", **{"X-Attempt": attempt}) for attempt in ("1", "2")]

    assert second.json() == first.json()


@pytest.mark.parametrize("key", ["", "x" * 256, "two words"])
async def test_a_key_that_cannot_be_used_is_refused(server: HttpServer, gate: Gate, key: str) -> None:
    await server.publish(document(gate, "immediately"))

    refused = await send(server, key)

    assert (refused.status_code, refused.json()["code"]) == (400, "webhook.key_malformed")


def test_two_keys_are_one_too_many() -> None:
    headers = [(b"idempotency-key", b"a"), (b"idempotency-key", b"b")]

    with pytest.raises(KeyMalformed):
        request_key(WebhookRequest("POST", "pay", b"", headers, b""))


def test_where_a_part_of_a_request_ends_is_a_part_of_what_it_means() -> None:
    headers = [(b"idempotency-key", b"a")]
    keys = [
        request_key(WebhookRequest("POST", path, query, headers, b"")) for path, query in (("ab", b"c"), ("a", b"bc"))
    ]

    assert keys[0] != keys[1]


async def test_beyond_a_limit_that_drops_the_sender_is_told_when_to_come_back(server: HttpServer, gate: Gate) -> None:
    await server.publish(document(gate, "immediately", max_concurrency=1, concurrency_policy="drop"))
    await send(server, "pay-1")

    dropped = await send(server, "pay-2")

    assert (dropped.status_code, dropped.json()["code"]) == (429, "execution.limit_reached")
    assert int(dropped.headers["Retry-After"]) > 0


async def test_a_stranger_does_not_see_the_expression_of_a_key_that_cannot_be_made(
    server: HttpServer, gate: Gate
) -> None:
    await server.publish(document(gate, "immediately", concurrency_key="{{ $json.body.customer }}"))

    refused = await send(server, "pay-1")

    assert (refused.status_code, refused.json()["code"]) == (422, "execution.concurrency_key_failed")
    assert "$json.body" not in refused.json()["detail"]


async def test_the_trace_of_the_sender_is_the_executions(server: HttpServer, gate: Gate) -> None:
    await server.publish(document(gate, "immediately"))
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"

    answer = await send(server, "pay-1", traceparent=f"00-{trace}-00f067aa0ba902b7-01")

    read = await server.client.get(f"/api/v1/executions/{answer.headers[EXECUTION]}")
    assert read.json()["execution"]["traceparent"].split("-")[1] == trace
