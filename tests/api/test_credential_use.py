"""Credentials in use, from the API to the server at the other end: what arrives there, and what nobody is told."""

import hmac
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.egress.loopback import Asked, Loopback, redirect, reply, serving
from tests.http_server import HttpServer

TOKEN = "canary-2f7c1d-in-use"


@pytest.fixture
async def api() -> AsyncIterator[Loopback]:
    async with serving() as loopback:
        yield loopback


async def add(server: HttpServer, kind: str, name: str, values: dict[str, Any], *hosts: str, **more: Any) -> str:
    asked = {"kind": kind, "name": name, "values": values, "hosts": list(hosts), **more}
    made = await server.client.post("/api/v1/credentials", json=asked)
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


def asking(url: str, credentials: dict[str, str], **params: Any) -> dict[str, Any]:
    """A webhook whose answer is what a request was answered with."""
    return {
        "format": 1,
        "name": "asking",
        "nodes": {
            "hook": {"type": "trigger.webhook", "params": {"path": "ask", "respond": "last_node"}},
            "ask": {"type": "http.request", "params": {"url": url, **params}, "credentials": credentials},
        },
        "edges": [{"from": "hook", "to": "ask"}],
    }


async def everything_told(server: HttpServer, execution_id: str) -> str:
    """All that the API says of an execution."""
    paths = (f"/api/v1/executions/{execution_id}", f"/api/v1/executions/{execution_id}/journal")
    return "".join([(await server.client.get(path)).text for path in paths])


async def test_a_request_is_signed_and_its_echo_is_masked(server: HttpServer, api: Loopback) -> None:
    async def echo(asked: Asked, writer: Any) -> None:
        writer.write(reply(200, json.dumps({"saw": asked.header("Authorization")}).encode(), f"X-Saw: {TOKEN}"))
        await writer.drain()

    api.answers["/"] = echo
    await add(server, "bearer", "crm", {"token": TOKEN}, f"http://127.0.0.1:{api.port}")
    await server.publish(asking(api.origin, {"auth": "crm"}))

    answer = await server.stranger.post("/webhook/ask")

    assert api.asked[0].header("Authorization") == f"Bearer {TOKEN}"
    assert answer.status_code == 200, answer.text
    told = await everything_told(server, answer.headers["X-Budflow-Execution"])
    assert "***" in told
    assert TOKEN not in told + answer.text


async def test_to_another_host_the_execution_fails_before_anything_is_sent(server: HttpServer, api: Loopback) -> None:
    await add(server, "bearer", "crm", {"token": TOKEN}, "crm.example")
    await server.publish(asking(api.origin, {"auth": "crm"}))

    answer = await server.stranger.post("/webhook/ask")

    assert (answer.status_code, api.connections) == (500, 0)
    told = await everything_told(server, answer.headers["X-Budflow-Execution"])
    assert "credential.host_refused" in told
    assert TOKEN not in told


async def test_a_secret_that_the_author_places_arrives_there_and_is_journaled_nowhere(
    server: HttpServer, api: Loopback
) -> None:
    async with serving() as other:
        api.answers["/"] = redirect(302, other.origin)
        other.answers["/"] = reply(200, b"{}", "Content-Type: application/json")
        await add(
            server,
            "basic",
            "crm",
            {"user": "ada", "password": TOKEN},
            f"http://127.0.0.1:{api.port}",
        )
        placed = {"X-Password": "{{ $secrets.auth.password }}", "X-User": "{{ $secrets.auth.user }}"}
        await server.publish(
            asking(api.origin, {"auth": "crm"}, headers=placed, query={"p": "{{ $secrets.auth.password }}"})
        )

        answer = await server.stranger.post("/webhook/ask")

    assert answer.status_code == 200, answer.text
    [asked], [led_on] = api.asked, other.asked
    assert [asked.header(name) for name in ("X-Password", "X-User", "Authorization")] == [TOKEN, "ada", None]
    assert asked.target == f"/?p={TOKEN}"
    assert (led_on.header("X-Password"), led_on.target) == (None, "/")
    assert TOKEN not in await everything_told(server, answer.headers["X-Budflow-Execution"])


async def test_a_secret_mixed_into_a_text_fails_the_item_without_being_shown(server: HttpServer, api: Loopback) -> None:
    await add(server, "bearer", "crm", {"token": TOKEN}, f"http://127.0.0.1:{api.port}")
    await server.publish(asking(api.origin, {"auth": "crm"}, headers={"X": "{{ 'Token ' + $secrets.auth.token }}"}))

    answer = await server.stranger.post("/webhook/ask")

    assert (answer.status_code, api.connections) == (500, 0)
    told = await everything_told(server, answer.headers["X-Budflow-Execution"])
    assert "a secret value" in told
    assert TOKEN not in told


SIGNED = {
    "format": 1,
    "name": "signed",
    "nodes": {
        "hook": {
            "type": "trigger.webhook",
            "params": {"path": "signed", "respond": "last_node"},
            "credentials": {"signature": "github"},
        },
        "done": {"type": "data.set", "params": {"values": {"done": True}, "keep": False}},
    },
    "edges": [{"from": "hook", "to": "done"}],
}


async def test_a_webhook_with_a_credential_takes_only_what_is_signed_with_it(server: HttpServer) -> None:
    values = {"secret": TOKEN, "header": "X-Hub-Signature-256", "prefix": "sha256="}
    credential_id = await add(server, "hmac", "github", values, "*")
    await server.publish(SIGNED)
    body = b'{"ref": "main"}'
    signature = "sha256=" + hmac.digest(TOKEN.encode(), body, "sha256").hex()

    async def send(content: bytes, signature: str | None) -> Any:
        headers = {} if signature is None else {"X-Hub-Signature-256": signature}
        return await server.stranger.post("/webhook/signed", content=content, headers=headers)

    passed = await send(body, signature)
    assert (passed.status_code, passed.json()) == (200, {"done": True})
    for content, given in ((body + b" ", signature), (body, signature[:-1] + "z"), (body, None)):
        refused = await send(content, given)
        assert (refused.status_code, refused.json()["code"]) == (401, "webhook.signature_refused")

    assert (await server.client.delete(f"/api/v1/credentials/{credential_id}")).status_code < 300
    gone = await send(body, signature)
    assert (gone.status_code, gone.json()["code"]) == (500, "webhook.secret_missing")
    assert "github" not in gone.text


async def test_a_webhook_whose_credential_is_granted_to_nobody_takes_nothing(server: HttpServer) -> None:
    values = {"secret": TOKEN, "header": "X-Hub-Signature-256"}
    await add(server, "hmac", "github", values, "*")
    await server.publish(SIGNED)
    nobody = {"grants": {"project": False, "principals": [], "workflows": []}}
    changed = await server.client.patch("/api/v1/credentials/github", json=nobody)
    assert changed.status_code == 200, changed.text

    signature = hmac.digest(TOKEN.encode(), b"", "sha256").hex()
    refused = await server.stranger.post("/webhook/signed", headers={"X-Hub-Signature-256": signature})

    assert (refused.status_code, refused.json()["code"]) == (500, "webhook.secret_missing")


@pytest.mark.parametrize(("status", "works"), [(200, True), (401, False), (500, None)])
async def test_a_credential_is_tested_by_the_real_call_that_its_user_named(
    server: HttpServer, api: Loopback, status: int, works: bool | None
) -> None:
    api.answers["/me"] = reply(status, TOKEN.encode())
    probe = {"method": "GET", "url": f"{api.origin}/me"}
    await add(server, "bearer", "crm", {"token": TOKEN}, f"http://127.0.0.1:{api.port}", probe=probe)

    tested = await server.client.post("/api/v1/credentials/crm/test")

    assert (tested.status_code, tested.json()["works"]) == (200, works), tested.text
    assert f"was answered with {status}" in tested.text
    assert TOKEN not in tested.text
    assert api.asked[0].header("Authorization") == f"Bearer {TOKEN}"
