"""Waits over HTTP: listed, answered once by who may, and the execution goes on."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from budflow.model.principal import OWNER, Door, Principal
from budflow.services.keys import Keys
from tests.api.test_app import problem
from tests.api.waits import approval, approvals_in_a_loop, start, waiting_for, waits
from tests.http_server import HttpServer, open_http_server
from tests.until import until

FIELDS = [{"name": "street", "required": True}, {"name": "floor", "type": "integer"}]


@pytest.fixture
async def server() -> AsyncIterator[HttpServer]:
    async with open_http_server(public_url="https://flows.example") as server:
        yield server


def answer_url(execution_id: str, node: str = "ask") -> str:
    return f"/api/v1/executions/{execution_id}/waits/{node}/answer"


async def test_an_approval_is_listed_decided_and_remembers_who_did(server: HttpServer) -> None:
    execution_id = await start(server, approval())
    [wait] = await waits(server, reason="approval")
    assert (wait["execution_id"], wait["node"], wait["reason"]) == (execution_id, "ask", "approval")
    assert wait["resume_url"].startswith("https://flows.example/resume/")

    answered = await server.client.post(
        answer_url(execution_id), json={"answer": {"approved": True, "comment": "Fine."}}
    )

    assert (answered.status_code, answered.json()["answered"]) == (200, True)
    detail = await server.ended(execution_id)
    decision = {"approved": True, "comment": "Fine.", "by": "owner"}
    assert detail["result"]["items"] == [{"json": {"answer": decision, "done": True}}]
    assert await waits(server) == []


async def test_only_the_first_answer_counts(server: HttpServer) -> None:
    execution_id = await start(server, approval())
    await server.client.post(answer_url(execution_id), json={"answer": {"approved": True}})

    problem(
        await server.client.post(answer_url(execution_id), json={"answer": {"approved": False}}), 409, "wait.closed"
    )

    await server.ended(execution_id)
    problem(
        await server.client.post(answer_url(execution_id), json={"answer": {"approved": False}}), 409, "wait.closed"
    )


async def test_who_is_none_of_the_approvers_may_not_decide(server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    execution_id = await start(server, approval(approvers=["key_anna"]))
    yes = {"answer": {"approved": True}}
    problem(await server.client.post(answer_url(execution_id), json=yes), 403, "auth.permission_missing")

    def anna(_: Keys, authorization: str | None, door: Door) -> Principal:
        return replace(OWNER, id="key_anna", door=door)

    monkeypatch.setattr(Keys, "principal", anna)
    assert (await server.client.post(answer_url(execution_id), json=yes)).status_code == 200
    detail = await server.ended(execution_id)
    assert detail["result"]["items"][0]["json"]["answer"]["by"] == "key_anna"


async def test_an_answer_of_the_wrong_shape_is_refused_and_the_wait_stays_open(server: HttpServer) -> None:
    execution_id = await start(server, waiting_for("form", text="Where to?", fields=FIELDS))

    for wrong in (
        {"floor": 1},
        {"street": "Main", "floor": "first"},
        {"street": "M", "flor": 1},
        "Main",
        {"street": 2**70},
    ):
        refused = await server.client.post(answer_url(execution_id), json={"answer": wrong})
        assert problem(refused, 422, refused.json()["code"])["code"] in ("wait.answer_invalid", "request.invalid")

    await server.client.post(answer_url(execution_id), json={"answer": {"street": "Main"}})
    detail = await server.ended(execution_id)
    assert detail["result"]["items"][0]["json"]["answer"] == {"street": "Main", "floor": None}


async def test_waits_of_a_loop_are_answered_by_their_paths(server: HttpServer) -> None:
    execution_id = await start(server, approvals_in_a_loop(), {"id": 1}, {"id": 2}, {"id": 3})
    assert [wait["node"] for wait in await waits(server)] == ["ask[0]", "ask[1]", "ask[2]"]

    first = (await server.client.get("/api/v1/waits", params={"limit": 2})).json()
    rest = await waits(server, cursor=first["next_cursor"])
    assert [wait["node"] for wait in rest] == ["ask[2]"]
    for number, approved in enumerate([True, False, True]):
        url = answer_url(execution_id, f"ask%5B{number}%5D")
        assert (await server.client.post(url, json={"answer": {"approved": approved}})).status_code == 200

    detail = await server.ended(execution_id)
    assert [item["json"]["id"] for item in detail["result"]["items"]] == [1, 3]
    [ask] = [node for node in detail["nodes"] if node["key"] == "ask"]
    assert (ask["container"], ask["body"], ask["runs"], ask["counts"]) == (
        "each",
        "body",
        3,
        {"approved": 2, "rejected": 1},
    )


async def test_a_node_that_does_not_wait_is_told_from_those_that_do(server: HttpServer) -> None:
    execution_id = await start(server, approval())

    refused = await server.client.post(answer_url(execution_id, "end"), json={"answer": 1})

    told = problem(refused, 409, "wait.closed")
    assert told["details"] == {"open": ["ask"]}
    assert told["detail"] == "No node `end` waits for an answer: there is none, or its wait is over."
    assert told["hint"] == "These wait for an answer: ask."
    problem(await server.client.post(answer_url("exe_none"), json={"answer": 1}), 404, "execution.not_found")


async def test_a_timer_can_be_listed_but_not_answered(server: HttpServer) -> None:
    workflow_id = await server.create(waiting_for("duration", seconds=3600))
    started = await server.client.post(f"/api/v1/workflows/{workflow_id}/executions")
    execution_id = started.json()["execution"]["id"]

    async def waits_for_time() -> bool:
        return bool(await waits(server, reason="timer"))

    await until(waits_for_time)
    [timer] = await waits(server, reason="timer", execution_id=execution_id)
    assert timer["until"] is not None
    assert timer["resume_url"] is None
    assert await waits(server) == []
    problem(await server.client.post(answer_url(execution_id), json={"answer": 1}), 409, "wait.closed")


async def test_the_execution_shows_what_it_waits_for(server: HttpServer) -> None:
    execution_id = await start(server, approval(expires_after_seconds=3600))

    for detail in ("status", "nodes"):
        shown = (await server.client.get(f"/api/v1/executions/{execution_id}", params={"detail": detail})).json()
        assert (shown["execution"]["status"], shown["execution"]["waiting"]) == ("waiting", "approval")
        assert shown["execution"]["wake_at"] == shown["waits"][0]["until"]
        assert shown["waits"][0]["ask"]["text"] == "Pay <b>900</b> EUR?"
    assert {node["key"]: node["status"] for node in shown["nodes"]} == {
        "start": "succeeded",
        "ask": "waiting",
        "end": "pending",
    }


async def test_who_may_only_read_is_not_given_the_addresses(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    execution_id = await start(server, approval())

    def reader(_: Keys, authorization: str | None, door: Door) -> Principal:
        return replace(OWNER, permissions=frozenset({"execution:read"}), door=door)

    monkeypatch.setattr(Keys, "principal", reader)
    [wait] = await waits(server)
    assert wait["resume_url"] is None
    problem(await server.client.post(answer_url(execution_id), json={"answer": 1}), 403, "auth.permission_missing")
