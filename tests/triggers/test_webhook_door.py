"""A published webhook answers strangers: at once, at the end, or what the workflow says; never with its insides."""

import asyncio
import hashlib
import hmac
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from budflow.asgi import exchange as asgi_exchange
from budflow.execution.held import Held
from budflow.execution.records import JournalWrite
from budflow.execution.supervisor import Supervisor
from budflow.model.execution import ClaimLost, QueueFull
from budflow.model.failure import Failure
from budflow.storage.errors import StorageUnavailable
from budflow.storage.memory.store import MemoryStore
from budflow.triggers import webhook_door
from tests.exchange import Exchange
from tests.gate import Gate, open_gate
from tests.http_server import HttpServer, open_http_server, workflow
from tests.until import until

EXECUTION = "X-Budflow-Execution"


@pytest.fixture
async def server() -> AsyncIterator[HttpServer]:
    async with open_http_server(webhook_body_bytes_max=1000) as server:
        yield server


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    async with open_gate() as gate:
        yield gate


@pytest.fixture
async def impatient() -> AsyncIterator[HttpServer]:
    """A server that waits for a workflow only a tenth of a second, and lets workflows reach loopback."""
    async with open_http_server(webhook_answer_seconds=0.1, http_allow=("127.0.0.1",)) as server:
        yield server


@pytest.fixture
async def patient() -> AsyncIterator[HttpServer]:
    async with open_http_server(http_allow=("127.0.0.1",)) as server:
        yield server


def greeting(respond: str = "last_node", **trigger: Any) -> dict[str, Any]:
    return workflow(
        {
            "hook": ("trigger.webhook", {"path": "greet/{name}", "respond": respond, **trigger}),
            "greet": ("data.set", {"values": {"text": "Hello, {{ $json.params.name }}!"}, "keep": False}),
        },
        ("hook", "greet"),
    )


def waiting(gate: Gate, respond: str = "last_node") -> dict[str, Any]:
    return workflow(
        {
            "hook": ("trigger.webhook", {"path": "wait", "respond": respond}),
            "fetch": ("http.request", {"url": gate.url}),
        },
        ("hook", "fetch"),
    )


def answering(then: tuple[str, dict[str, Any]], **answer: Any) -> dict[str, Any]:
    return workflow(
        {
            "hook": ("trigger.webhook", {"path": "answer", "respond": "respond_node"}),
            "answer": ("http.respond", answer),
            "then": then,
        },
        ("hook", "answer"),
        ("answer", "then"),
    )


async def one_queued(server: HttpServer) -> bool:
    return await server.runtime.services.store.count_queued() == 1


async def test_immediately_answers_with_the_execution_which_is_stored_by_then(server: HttpServer) -> None:
    await server.publish(greeting("immediately"))

    answer = await server.stranger.post("/webhook/greet/Ada")

    assert answer.status_code == 202
    assert answer.json() == {"execution_id": answer.headers[EXECUTION]}
    stored = await server.client.get(f"/api/v1/executions/{answer.headers[EXECUTION]}")
    assert stored.json()["execution"]["mode"] == "webhook"
    assert (await server.ended(answer.headers[EXECUTION]))["execution"]["status"] == "succeeded"


async def test_the_last_node_answers_and_the_execution_can_be_read(server: HttpServer) -> None:
    await server.publish(greeting())

    answer = await server.stranger.post("/webhook/greet/%C3%84da%2FB", json={"total": 1})

    assert answer.status_code == 200
    assert answer.json() == {"text": "Hello, Äda/B!"}
    assert (await server.ended(answer.headers[EXECUTION]))["result"]["items"] == [{"json": answer.json()}]


async def test_all_items_of_the_last_node_are_answered_as_a_list(server: HttpServer) -> None:
    await server.publish(greeting(respond_items="all"))

    assert (await server.stranger.post("/webhook/greet/Ada")).json() == [{"text": "Hello, Ada!"}]


async def test_the_item_holds_the_request(server: HttpServer) -> None:
    await server.publish(workflow({"hook": ("trigger.webhook", {"path": "echo", "respond": "last_node"})}))

    answer = await server.stranger.post(
        "/webhook/echo?page=2", data={"a": "1"}, headers={"X-Tag": "t", "Authorization": "Bearer secret"}
    )

    item = answer.json()
    assert (item["method"], item["path"]) == ("POST", "echo")
    assert item["query"] == {"page": "2"}
    assert item["body"] == {"a": "1"}
    assert item["headers"]["x-tag"] == "t"
    assert "secret" not in answer.text


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
async def test_each_of_the_five_methods_can_be_armed(server: HttpServer, method: str) -> None:
    await server.publish(greeting(methods=[method]))

    assert (await server.stranger.request(method, "/webhook/greet/Ada")).status_code == 200


async def test_an_unknown_path_is_not_found_and_an_unarmed_method_not_allowed(server: HttpServer) -> None:
    await server.publish(greeting(methods=["POST", "PUT"]))

    unknown = await server.stranger.post("/webhook/great/Ada")
    refused = await server.stranger.get("/webhook/greet/Ada")

    assert (unknown.status_code, unknown.json()["code"]) == (404, "webhook.not_found")
    assert unknown.headers["content-type"] == "application/problem+json"
    assert unknown.json()["instance"] == "/webhook/great/Ada"
    assert (refused.status_code, refused.json()["code"]) == (405, "webhook.method_not_allowed")
    assert refused.headers["allow"] == "POST, PUT"
    assert (await server.stranger.options("/webhook/greet/Ada")).status_code == 405


async def test_an_unpublished_and_a_deleted_workflow_stop_answering(server: HttpServer) -> None:
    workflow_id = await server.publish(greeting())
    await server.client.post(f"/api/v1/workflows/{workflow_id}/unpublish")
    assert (await server.stranger.post("/webhook/greet/Ada")).status_code == 404

    await server.client.post(f"/api/v1/workflows/{workflow_id}/publish")
    assert (await server.stranger.post("/webhook/greet/Ada")).status_code == 200

    await server.client.delete(f"/api/v1/workflows/{workflow_id}")
    assert (await server.stranger.post("/webhook/greet/Ada")).status_code == 404


async def test_a_workflow_that_another_server_deleted_is_not_found_once_the_table_was_read_again(
    server: HttpServer,
) -> None:
    workflow_id = await server.publish(greeting())
    await server.runtime.services.store.delete_workflow("default", workflow_id)
    await server.runtime.services.triggers.refresh()

    assert (await server.stranger.post("/webhook/greet/Ada")).status_code == 404


async def test_a_body_beyond_the_limit_is_refused_whatever_its_length_says(server: HttpServer) -> None:
    await server.publish(greeting())

    announced = await server.stranger.post("/webhook/greet/Ada", content=b"x" * 1001)
    assert (announced.status_code, announced.json()["code"]) == (413, "webhook.body_too_large")
    assert (await server.stranger.post("/webhook/greet/Ada", content=b"x" * 1000)).status_code == 200

    lying = Exchange(server.app, "POST", "/webhook/greet/Ada", {"Content-Length": "3"})
    lying.send(b"x" * 600, more=True)
    lying.send(b"x" * 600, more=True)  # Refused without waiting for more.
    assert await lying.status() == 413


async def test_a_large_announcement_is_refused_before_anything_is_read(server: HttpServer) -> None:
    await server.publish(greeting())

    exchange = Exchange(server.app, "POST", "/webhook/greet/Ada", {"Content-Length": "1001"})

    assert await exchange.status() == 413


async def test_a_client_that_hangs_up_while_sending_starts_nothing(server: HttpServer) -> None:
    await server.publish(greeting())
    exchange = Exchange(server.app, "POST", "/webhook/greet/Ada")
    exchange.send(b"half", more=True)
    exchange.hang_up()
    await exchange.task

    assert not exchange.answered
    assert (await server.client.get("/api/v1/executions")).json()["executions"] == []


async def test_a_malformed_body_is_refused_and_starts_nothing(server: HttpServer) -> None:
    await server.publish(greeting())

    answer = await server.stranger.post(
        "/webhook/greet/Ada", content=b"{", headers={"Content-Type": "application/json"}
    )

    assert (answer.status_code, answer.json()["code"]) == (400, "webhook.body_malformed")
    assert EXECUTION not in answer.headers
    assert (await server.client.get("/api/v1/executions")).json()["executions"] == []


async def test_only_signed_requests_pass_where_a_signature_is_asked_for(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUDFLOW_SECRET_HOOK", "s3cret")
    await server.publish(greeting(signature={"secret": "HOOK"}))
    body = b'{"ref": "main"}'
    signature = "sha256=" + hmac.new(b"s3cret", body, hashlib.sha256).hexdigest()

    async def send(content: bytes, headers: dict[str, str]) -> int:
        answer = await server.stranger.post("/webhook/greet/Ada", content=content, headers=headers)
        return answer.status_code

    assert await send(body, {"X-Hub-Signature-256": signature}) == 200
    assert await send(body + b" ", {"X-Hub-Signature-256": signature}) == 401
    assert await send(body, {"X-Hub-Signature-256": signature[:-1] + "g"}) == 401
    assert await send(body, {}) == 401
    monkeypatch.delenv("BUDFLOW_SECRET_HOOK")
    assert await send(body, {"X-Hub-Signature-256": signature}) == 500


async def test_a_missing_secret_is_named_to_the_owner_only(server: HttpServer) -> None:
    await server.publish(greeting(signature={"secret": "UNSET_ONE"}))

    answer = await server.stranger.post("/webhook/greet/Ada")

    assert answer.json()["code"] == "webhook.secret_missing"
    assert "UNSET_ONE" not in answer.text


async def test_a_failure_is_answered_with_its_own_code_and_the_execution(server: HttpServer) -> None:
    await server.publish(
        workflow(
            {
                "hook": ("trigger.webhook", {"path": "fail", "respond": "last_node"}),
                "stop": ("flow.stop_and_error", {"message": "No stock left."}),
            },
            ("hook", "stop"),
        )
    )

    answer = await server.stranger.post("/webhook/fail")

    problem = answer.json()
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "No stock left." in problem["detail"]
    assert problem["details"] == {"execution_id": answer.headers[EXECUTION], "node": "stop"}
    stored = (await server.ended(answer.headers[EXECUTION]))["execution"]
    assert stored["failure"]["code"] == problem["code"]


async def test_a_failure_in_other_words_than_the_authors_is_told_to_the_owner_only(server: HttpServer) -> None:
    await server.publish(
        workflow(
            {
                "hook": ("trigger.webhook", {"path": "fail", "respond": "last_node"}),
                "sum": ("data.set", {"values": {"a": "{{ 'inner' + $json.nothing.here }}"}}),
            },
            ("hook", "sum"),
        )
    )

    answer = await server.stranger.post("/webhook/fail")

    assert (answer.status_code, answer.json()["code"]) == (500, "webhook.execution_failed")
    assert "inner" not in answer.text
    stored = (await server.ended(answer.headers[EXECUTION]))["execution"]
    assert "inner" in stored["failure"]["message"]


async def test_a_body_that_does_not_arrive_is_given_up(server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asgi_exchange, "BODY_SECONDS_MAX", 0.01)
    await server.publish(greeting())

    exchange = Exchange(server.app, "POST", "/webhook/greet/Ada", {"Content-Length": "100"})
    exchange.send(b"half", more=True)

    assert await exchange.status() == 408


async def test_the_workflow_answers_by_itself_and_goes_on(patient: HttpServer, gate: Gate) -> None:
    later = ("http.request", {"url": gate.url})
    await patient.publish(answering(later, status=201, headers={"X-Order": "7"}, body={"id": 7}))

    answer = await patient.stranger.post("/webhook/answer")

    assert (answer.status_code, answer.json(), answer.headers["x-order"]) == (201, {"id": 7}, "7")
    assert not gate.release.is_set()
    gate.release.set()
    assert (await patient.ended(answer.headers[EXECUTION]))["execution"]["status"] == "succeeded"


async def test_the_workflow_may_answer_with_text_or_nothing(server: HttpServer) -> None:
    workflow_id = await server.publish(answering(("flow.no_op", {}), body="Hello, {{ $json.method }}"))
    text = await server.stranger.post("/webhook/answer")
    await server.client.delete(f"/api/v1/workflows/{workflow_id}")
    await server.publish(answering(("flow.no_op", {}), body=None, status=204))
    nothing = await server.stranger.post("/webhook/answer")

    assert (text.text, text.headers["content-type"]) == ("Hello, POST", "text/plain; charset=utf-8")
    assert (nothing.status_code, nothing.content) == (204, b"")


async def test_a_workflow_that_never_answers_gives_no_content(server: HttpServer) -> None:
    document = workflow(
        {
            "hook": ("trigger.webhook", {"path": "maybe", "respond": "respond_node"}),
            "check": ("flow.if", {"condition": "{{ $json.query.answer == 'yes' }}"}),
            "answer": ("http.respond", {"body": "yes"}),
        },
        ("hook", "check"),
        ("check.true", "answer"),
    )
    await server.publish(document)

    assert (await server.stranger.post("/webhook/maybe?answer=yes")).text == "yes"
    silent = await server.stranger.post("/webhook/maybe?answer=no")
    assert (silent.status_code, silent.content) == (204, b"")
    assert (await server.ended(silent.headers[EXECUTION]))["execution"]["status"] == "succeeded"


async def test_an_answer_that_takes_too_long_is_given_up_while_the_execution_goes_on(
    impatient: HttpServer, gate: Gate
) -> None:
    await impatient.publish(waiting(gate))

    answer = await impatient.stranger.post("/webhook/wait")

    assert (answer.status_code, answer.json()["code"]) == (504, "webhook.answer_timed_out")
    execution_id = answer.headers[EXECUTION]
    assert answer.json()["details"] == {"execution_id": execution_id}
    running = await impatient.client.get(f"/api/v1/executions/{execution_id}")
    assert running.json()["execution"]["status"] == "running"
    gate.release.set()
    assert (await impatient.ended(execution_id))["execution"]["status"] == "succeeded"


async def test_one_that_only_computes_for_longer_than_a_request_waits_is_stored_when_it_is_named(
    impatient: HttpServer,
) -> None:
    """Otherwise nothing of it is stored before its end."""
    document = workflow(
        {
            "hook": ("trigger.webhook", {"path": "many", "respond": "last_node"}),
            "each": ("flow.for_each", {"items": "{{ $json.body }}"}),
        },
        ("hook", "each"),
    )
    edges = [{"from": "$in", "to": "set"}, {"from": "set", "to": "$out"}]
    node = {"type": "data.set", "params": {"values": {"double": "{{ $json.value * 2 }}"}}}
    document["nodes"]["each"]["bodies"] = {"body": {"nodes": {"set": node}, "edges": edges}}
    await impatient.publish(document)

    answer = await impatient.stranger.post("/webhook/many", json=[*range(20_000)])

    assert answer.status_code == 504
    stored = await impatient.runtime.services.store.get_execution("default", answer.headers[EXECUTION])
    assert stored is not None
    assert stored.status == "running"
    assert (await impatient.ended(stored.id))["execution"]["status"] == "succeeded"


async def test_a_client_that_hangs_up_while_waiting_cancels_nothing(patient: HttpServer, gate: Gate) -> None:
    await patient.publish(waiting(gate))
    exchange = Exchange(patient.app, "POST", "/webhook/wait")
    exchange.send(b"")
    await gate.arrived.wait()
    exchange.hang_up()
    exchange.task.cancel()  # What some servers do then.
    [execution] = (await patient.client.get("/api/v1/executions")).json()["executions"]
    gate.release.set()

    assert (await patient.ended(execution["id"]))["execution"]["status"] == "succeeded"


async def test_a_cancelled_execution_answers_as_a_conflict(patient: HttpServer, gate: Gate) -> None:
    await patient.publish(waiting(gate))
    exchange = Exchange(patient.app, "POST", "/webhook/wait")
    exchange.send(b"")
    await gate.arrived.wait()
    [execution] = (await patient.client.get("/api/v1/executions")).json()["executions"]
    await patient.client.post(f"/api/v1/executions/{execution['id']}/cancel")

    assert await exchange.status() == 409


async def test_many_at_once_are_each_answered_with_their_own(server: HttpServer) -> None:
    await server.publish(greeting())

    answers = await asyncio.gather(*(server.stranger.post(f"/webhook/greet/n{n}") for n in range(50)))

    assert [answer.json()["text"] for answer in answers] == [f"Hello, n{n}!" for n in range(50)]
    assert len({answer.headers[EXECUTION] for answer in answers}) == 50


@pytest.mark.parametrize("respond", ["last_node", "respond_node", "immediately"])
async def test_an_execution_that_must_queue_is_answered_all_the_same(gate: Gate, respond: str) -> None:
    async with open_http_server(running_max=1, http_allow=("127.0.0.1",)) as server:
        await server.publish(waiting(gate))
        document = answering(("flow.no_op", {}), body={"mine": "{{ $json.query.n }}"})
        document["nodes"]["hook"]["params"]["respond"] = respond
        if respond != "respond_node":
            document["nodes"]["answer"] = {"type": "data.set", "params": {"values": {"mine": "1"}, "keep": False}}
        await server.publish(document)
        first = Exchange(server.app, "POST", "/webhook/wait")
        first.send(b"")
        await gate.arrived.wait()

        second = asyncio.create_task(server.stranger.post("/webhook/answer?n=1"))
        await until(partial(one_queued, server))
        gate.release.set()

        answer = await second
        assert answer.json() == (
            {"execution_id": answer.headers[EXECUTION]} if respond == "immediately" else {"mine": "1"}
        )
        assert await first.status() == 200


async def test_a_queued_execution_that_fails_is_answered_as_a_failure(gate: Gate) -> None:
    async with open_http_server(running_max=1, http_allow=("127.0.0.1",)) as server:
        await server.publish(waiting(gate))
        document = answering(("flow.no_op", {}), body="")
        document["nodes"]["answer"] = {"type": "flow.stop_and_error", "params": {"message": "No."}}
        await server.publish(document)
        first = Exchange(server.app, "POST", "/webhook/wait")
        first.send(b"")
        await gate.arrived.wait()
        second = asyncio.create_task(server.stranger.post("/webhook/answer"))
        await until(partial(one_queued, server))
        gate.release.set()

        assert (await second).status_code == 500


async def test_a_full_queue_says_when_to_try_again(server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    await server.publish(greeting())

    async def full(*_: Any, **__: Any) -> None:
        raise QueueFull

    monkeypatch.setattr(Supervisor, "submit", full)
    answer = await server.stranger.post("/webhook/greet/Ada")

    assert (answer.status_code, answer.json()["code"]) == (503, "execution.queue_full")
    assert int(answer.headers["retry-after"]) > 0


async def test_an_execution_that_another_runner_ended_is_answered_from_its_journal(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await server.publish(greeting())
    append = MemoryStore.append

    async def written_by_another(store: MemoryStore, write: JournalWrite) -> None:
        await append(store, write)
        raise ClaimLost

    monkeypatch.setattr(MemoryStore, "append", written_by_another)

    assert (await server.stranger.post("/webhook/greet/Ada")).json() == {"text": "Hello, Ada!"}


async def test_strangers_are_not_told_what_the_database_says(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await server.publish(greeting("immediately"))

    async def unavailable(*_: Any) -> None:
        raise StorageUnavailable("The disk /var/lib/budflow is full.")

    monkeypatch.setattr(MemoryStore, "append", unavailable)
    with caplog.at_level(logging.ERROR):
        answer = await server.stranger.post("/webhook/greet/Ada")

    assert (answer.status_code, answer.json()["code"]) == (503, "webhook.unavailable")
    assert "retry-after" in answer.headers
    assert "/var/lib" not in answer.text
    assert "webhook.failed" in caplog.messages


async def _refuse(*_: Any) -> None:
    raise StorageUnavailable


async def test_an_execution_that_could_not_be_stored_is_not_named(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await server.publish(greeting())
    monkeypatch.setattr(MemoryStore, "append", _refuse)

    answer = await server.stranger.post("/webhook/greet/Ada")

    assert (answer.status_code, answer.json()["code"]) == (503, "webhook.unavailable")
    assert EXECUTION not in answer.headers


async def test_an_execution_whose_commit_was_kept_although_it_seemed_to_fail_is_named(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await server.publish(greeting())
    append = MemoryStore.append

    async def unheard(store: MemoryStore, write: JournalWrite) -> None:
        await append(store, write)
        raise StorageUnavailable

    monkeypatch.setattr(MemoryStore, "append", unheard)
    answer = await server.stranger.post("/webhook/greet/Ada")
    monkeypatch.undo()

    assert answer.status_code == 503
    assert (await server.ended(answer.headers[EXECUTION]))["execution"]["status"] == "succeeded"


async def test_an_execution_is_named_while_nobody_can_tell_whether_it_is_stored(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await server.publish(greeting())
    monkeypatch.setattr(MemoryStore, "append", _refuse)
    monkeypatch.setattr(MemoryStore, "get_execution", _refuse)

    answer = await server.stranger.post("/webhook/greet/Ada")

    assert (answer.status_code, answer.json()["code"]) == (503, "webhook.unavailable")
    assert EXECUTION in answer.headers


async def test_an_execution_that_breaks_the_runner_is_told_by_an_id_that_the_log_has(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await server.publish(greeting())

    async def broken(*_: Any) -> None:
        raise RuntimeError("a secret of ours")

    monkeypatch.setattr(MemoryStore, "append", broken)
    with caplog.at_level(logging.CRITICAL):
        answer = await server.stranger.post("/webhook/greet/Ada")

    assert (answer.status_code, answer.json()["code"]) == (500, "server.internal_error")
    assert "secret" not in answer.text
    assert answer.json()["details"]["error_id"].startswith("err_")


def approved_hook() -> dict[str, Any]:
    return workflow(
        {
            "hook": ("trigger.webhook", {"path": "ask", "respond": "last_node"}),
            "ask": ("flow.wait", {"mode": "approval", "text": "Go on?"}),
            "end": ("data.set", {"values": {"done": True}, "keep": False}),
        },
        ("hook", "ask"),
        ("ask.approved", "end"),
    )


async def resting(server: HttpServer) -> Held:
    """The one execution that this server holds, once it only waits."""
    held = server.runtime.services.supervisor.holding.held

    await until(lambda: any(one.rest is not None for one in held.values()))
    [one] = held.values()
    return one


async def one_waits(server: HttpServer) -> bool:
    return len(await server.runtime.services.store.list_waits("default")) == 1


async def approve(server: HttpServer, execution_id: str) -> None:
    answer = {"answer": {"approved": True}}
    answered = await server.client.post(f"/api/v1/executions/{execution_id}/waits/ask/answer", json=answer)
    assert answered.status_code == 200, answered.text


async def test_an_execution_that_a_request_waits_for_is_not_given_back(server: HttpServer) -> None:
    await server.publish(approved_hook())
    request = asyncio.create_task(server.stranger.post("/webhook/ask"))
    held = await resting(server)

    server.runtime.services.supervisor.holding._consider_rest(held)
    await until(partial(one_waits, server))
    await approve(server, held.execution.id)

    assert (await request).json() == {"done": True}
    stored = await server.runtime.services.store.get_execution("default", held.execution.id)
    assert stored is not None
    assert stored.token == 1, "nobody else ever held it"


async def test_one_that_is_given_back_all_the_same_is_followed(server: HttpServer) -> None:
    await server.publish(approved_hook())
    request = asyncio.create_task(server.stranger.post("/webhook/ask"))
    held = await resting(server)
    assert held.running is not None

    held.running.let_go()
    await until(held.ended.done)
    await approve(server, held.execution.id)

    assert (await request).json() == {"done": True}


async def test_one_that_waits_for_longer_than_a_request_does_is_named_in_the_answer(impatient: HttpServer) -> None:
    await impatient.publish(approved_hook())

    answer = await impatient.stranger.post("/webhook/ask")

    assert (answer.status_code, answer.json()["code"]) == (504, "webhook.answer_timed_out")
    await approve(impatient, answer.json()["details"]["execution_id"])
    assert (await impatient.ended(answer.headers[EXECUTION]))["execution"]["status"] == "succeeded"


async def test_an_authors_words_from_inside_a_loop_are_told(server: HttpServer) -> None:
    document = workflow(
        {
            "hook": ("trigger.webhook", {"path": "each", "respond": "last_node"}),
            "each": ("flow.for_each", {}),
        },
        ("hook", "each"),
    )
    stop = {"type": "flow.stop_and_error", "params": {"message": "Sold out."}}
    edges = [{"from": "$in", "to": "stop"}, {"from": "stop", "to": "$out"}]
    document["nodes"]["each"]["bodies"] = {"body": {"nodes": {"stop": stop}, "edges": edges}}
    workflow_id = await server.publish(document)

    assert (await server.stranger.post("/webhook/each")).json()["detail"] == "Sold out."

    _, plan = await server.runtime.services.plans.get("default", workflow_id, 1)
    nodes = {"stop": True, "stop[3]": True, "stop[3][0]": True, "each": False, "gone[1]": False, "no path": False}
    told = {node: webhook_door._is_authored(plan, Failure("a.b", "Sold out.", node=node)) for node in nodes}
    assert told == nodes


async def test_a_type_that_is_gone_since_the_workflow_was_published_is_told_without_its_name(
    server: HttpServer,
) -> None:
    workflow_id = await server.publish(greeting())
    store = server.runtime.services.store
    assert isinstance(store, MemoryStore)
    [version] = store._versions[workflow_id]
    nodes = {**version.document["nodes"], "greet": {"type": "secret.type", "params": {}}}
    store._versions[workflow_id] = [replace(version, document={**version.document, "nodes": nodes})]
    server.runtime.services.plans._kept.clear()

    answer = await server.stranger.post("/webhook/greet/you")

    assert (answer.status_code, answer.json()["code"]) == (422, "node.unknown_type")
    assert answer.json()["hint"]
    assert "secret" not in answer.text
