"""A resume link shows what is asked, takes one answer from whoever holds it, and nothing else."""

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from budflow.asgi.page import MEDIA_TYPE
from budflow.model.identity import utc_now
from budflow.services import read_resume_link, resume_links
from tests.api.test_waits import FIELDS
from tests.api.waits import approval, approvals_in_a_loop, start, waiting_for, waits
from tests.gate import Gate, open_gate
from tests.http_server import HttpServer, open_http_server, workflow

PUBLIC = "https://flows.example"
PAGE = {"Accept": "text/html,application/xhtml+xml", "Host": "flows.example"}


@pytest.fixture
async def server() -> AsyncIterator[HttpServer]:
    async with open_http_server(public_url=PUBLIC, http_allow=("127.0.0.1",)) as server:
        yield server


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    async with open_gate() as gate:
        yield gate


async def path_of(server: HttpServer, **params: Any) -> str:
    """The path of the only link there is."""
    [wait] = await waits(server, **params)
    address: str = wait["resume_url"]
    return address.removeprefix(PUBLIC)


async def link_of(server: HttpServer, execution_id: str) -> str:
    """The path of the link that `$execution.resume_url` is."""
    row = await server.runtime.services.store.get_execution("default", execution_id)
    assert row is not None
    address = server.runtime.services.links.of_execution(row)
    assert address is not None
    return address.removeprefix(PUBLIC)


def refused(answer: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    shape: dict[str, Any] = answer.json()
    assert (answer.status_code, shape["code"], shape["instance"]) == (status, code, "/resume/")
    assert shape["hint"]
    return shape


async def test_looking_shows_what_is_asked_and_changes_nothing(server: HttpServer) -> None:
    execution_id = await start(server, approval())
    path = await path_of(server)

    for _ in range(3):
        shown = await server.stranger.get(path)
        assert shown.json()["text"] == "Pay <b>900</b> EUR?"
        assert (shown.json()["execution_id"], shown.json()["reason"]) == (execution_id, "approval")
        assert (await server.stranger.head(path)).content == b""
    assert shown.headers["cache-control"] == "no-store"
    assert shown.headers["referrer-policy"] == "no-referrer"
    [wait] = await waits(server)
    assert not wait["answered"]


async def test_an_answer_is_taken_once_and_is_the_links(server: HttpServer) -> None:
    execution_id = await start(server, approval())
    path = await path_of(server)

    taken = await server.stranger.post(path, json={"approved": True, "comment": "From my phone."})

    assert (taken.status_code, taken.json()["answered"]) == (200, True)
    refused(await server.stranger.post(path, json={"approved": False}), 409, "wait.closed")
    result = (await server.ended(execution_id))["result"]["items"][0]["json"]
    assert result["answer"] == {"approved": True, "comment": "From my phone.", "by": "link"}
    refused(await server.stranger.post(path, json={"approved": False}), 409, "wait.closed")
    refused(await server.stranger.get(path), 409, "wait.closed")


async def test_many_answers_at_once_are_one(server: HttpServer) -> None:
    await start(server, approval())
    path = await path_of(server)

    answers = await asyncio.gather(*(server.stranger.post(path, json={"approved": n % 2 == 0}) for n in range(20)))

    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 19


async def test_named_approvers_are_not_replaced_by_a_link(server: HttpServer) -> None:
    await start(server, approval(approvers=["key_anna"]))

    refused(await server.stranger.post(await path_of(server), json={"approved": True}), 403, "auth.permission_missing")


async def test_forged_and_expired_links_are_told_apart(server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    await start(server, approval())
    path = await path_of(server)
    said, _, _ = path.removeprefix("/resume/").partition(".")
    forged = hmac.digest(b"guessed", said.encode(), hashlib.sha256).hex()

    for wrong in (f"/resume/{said}.{forged}", "/resume/x", "/resume/", path + "A"):
        refused(await server.stranger.get(wrong), 404, "wait.link_invalid")
        refused(await server.stranger.post(wrong, json={"approved": True}), 404, "wait.link_invalid")
    later = utc_now() + timedelta(days=31)
    monkeypatch.setattr(resume_links, "utc_now", lambda: later)
    refused(await server.stranger.get(path), 410, "wait.link_expired")
    refused(await server.stranger.post(path, json={"approved": True}), 410, "wait.link_expired")


async def test_a_link_reaches_no_other_server(server: HttpServer) -> None:
    await start(server, approval())
    path = await path_of(server)

    async with open_http_server(public_url=PUBLIC) as other:
        refused(await other.stranger.post(path, json={"approved": True}), 404, "wait.link_invalid")


async def test_the_link_of_an_execution_needs_a_node_where_several_wait(server: HttpServer) -> None:
    execution_id = await start(server, approvals_in_a_loop(), {"id": 1}, {"id": 2})
    path = await link_of(server, execution_id)

    shape = refused(await server.stranger.post(path, json={"approved": True}), 409, "wait.ambiguous")
    assert shape["details"]["nodes"] == ["ask[0]", "ask[1]"]
    chosen = await server.stranger.post(path, params={"node": "ask[1]"}, json={"approved": True})
    assert chosen.json()["node"] == "ask[1]"

    assert (await server.stranger.post(path, json={"approved": True})).json()["node"] == "ask[0]"
    assert len((await server.ended(execution_id))["result"]["items"]) == 2


async def test_a_workflow_sends_its_own_link_and_is_called_back(server: HttpServer) -> None:
    document = waiting_for("webhook")
    document["nodes"]["tell"] = {"type": "data.set", "params": {"values": {"url": "{{ $execution.resume_url }}"}}}
    document["edges"][0] = {"from": "start", "to": "tell"}
    document["edges"].append({"from": "tell", "to": "ask"})
    execution_id = await start(server, document)
    shown = await server.client.get(f"/api/v1/executions/{execution_id}", params={"detail": "items", "node": "tell"})
    address = shown.json()["nodes"][0]["items"]["main"]["items"][0]["json"]["url"]

    called = await server.stranger.post(address.removeprefix(PUBLIC), json={"job": [7]})

    assert called.status_code == 200
    assert (await server.ended(execution_id))["result"]["items"][0]["json"]["answer"] == {"job": [7]}


async def test_who_calls_back_before_the_node_is_reached_waits_for_it(server: HttpServer, gate: Gate) -> None:
    document = waiting_for("webhook")
    document["nodes"]["call"] = {"type": "http.request", "params": {"url": gate.url}}
    document["edges"][0] = {"from": "start", "to": "call"}
    document["edges"].append({"from": "call", "to": "ask"})
    workflow_id = await server.create(document)
    started = await server.client.post(f"/api/v1/workflows/{workflow_id}/executions")
    execution_id = started.json()["execution"]["id"]
    await gate.arrived.wait()

    early = asyncio.create_task(server.stranger.post(await link_of(server, execution_id), content=b"done"))
    await asyncio.sleep(0)
    gate.release.set()

    assert (await early).status_code == 200
    assert (await server.ended(execution_id))["result"]["items"][0]["json"]["answer"] == "done"


async def test_who_calls_back_far_too_early_is_refused(
    server: HttpServer, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_resume_link, "OPENING_SECONDS", 0.05)
    fetching = workflow({"start": ("trigger.manual", {}), "a": ("http.request", {"url": gate.url})}, ("start", "a"))
    started = await server.client.post(f"/api/v1/workflows/{await server.create(fetching)}/executions")

    early = await server.stranger.post(await link_of(server, started.json()["execution"]["id"]), json={})

    refused(early, 409, "wait.closed")


async def test_a_browser_gets_a_page_whose_form_answers(server: HttpServer) -> None:
    execution_id = await start(server, approval())
    path = await path_of(server)

    page = await server.stranger.get(path, headers=PAGE)
    assert page.headers["content-type"] == MEDIA_TYPE
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "<h1>Pay &lt;b&gt;900&lt;/b&gt; EUR?</h1>" in page.text
    assert '<form method="post">' in page.text
    assert "<script" not in page.text

    thanks = await server.stranger.post(path, data={"approved": "false", "comment": ""}, headers=PAGE)
    assert "<h1>Thank you</h1>" in thanks.text
    again = await server.stranger.post(path, data={"approved": "true"}, headers=PAGE)
    assert (again.status_code, again.headers["content-type"]) == (409, MEDIA_TYPE)
    assert "wait.closed" in again.text
    [ask] = [node for node in (await server.ended(execution_id))["nodes"] if node["key"] == "ask"]
    assert ask["counts"]["rejected"] == 1


async def test_the_texts_of_a_pages_form_become_what_the_fields_are(server: HttpServer) -> None:
    fields = [
        *FIELDS,
        {"name": "weight", "type": "number", "label": "<i>kg</i>"},
        {"name": "gift", "type": "boolean"},
        {"name": "size", "type": "number"},
    ]
    execution_id = await start(server, waiting_for("form", text="Where to?", fields=fields))
    path = await path_of(server)
    page = (await server.stranger.get(path, headers=PAGE)).text
    assert "&lt;i&gt;kg&lt;/i&gt;" in page
    entered = {"street": "7", "floor": "", "weight": "1.5", "gift": "true", "size": "2"}

    wrong = await server.stranger.post(path, data={**entered, "weight": "nan"})
    refused(wrong, 422, "wait.answer_invalid")
    assert (await server.stranger.post(path, data=entered)).status_code == 200

    answer = (await server.ended(execution_id))["result"]["items"][0]["json"]["answer"]
    assert answer == {"street": "7", "floor": None, "weight": 1.5, "gift": True, "size": 2}


async def test_other_methods_and_bodies_that_are_no_json_are_refused(server: HttpServer) -> None:
    await start(server, waiting_for("webhook"))
    path = await path_of(server)

    wrong = await server.stranger.put(path)
    refused(wrong, 405, "wait.link_method_not_allowed")
    assert wrong.headers["allow"] == "GET, HEAD, POST"
    broken = await server.stranger.post(path, content=b"{", headers={"Content-Type": "application/json"})
    assert broken.status_code == 400
    [wait] = await waits(server)
    assert not wait["answered"]
