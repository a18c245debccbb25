"""A server on loopback answers only under its own names, so that no web page reaches it by a name of its own."""

import pytest

from budflow.api.front import Front
from tests.exchange import Exchange
from tests.http_server import HttpServer, workflow


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:8710",
        "LOCALHOST:1",
        "127.0.0.1",
        "127.0.0.1:8710",
        "[::1]",
        "[::1]:8710",
        "[0:0:0:0:0:0:0:1]",
    ],
)
async def test_the_names_of_loopback_are_ours(server: HttpServer, host: str) -> None:
    assert (await server.stranger.get("/healthz", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8710", "localhost.evil.example", "127.0.0.1.evil.example", "0.0.0.0", "[", "x"],
)
@pytest.mark.parametrize("path", ["/healthz", "/api/v1/status", "/api/v1/docs", "/nowhere"])
async def test_any_other_name_is_misdirected(server: HttpServer, host: str, path: str) -> None:
    answer = await server.client.get(path, headers={"Host": host})

    assert (answer.status_code, answer.json()["code"]) == (421, "request.host_refused")


async def test_a_request_that_names_no_host_is_misdirected(server: HttpServer) -> None:
    assert await Exchange(server.app, "GET", "/healthz").status() == 421


async def test_webhooks_answer_under_any_name_such_as_a_tunnels(server: HttpServer) -> None:
    await server.publish(workflow({"hook": ("trigger.webhook", {"path": "hi"})}))

    assert (await server.stranger.post("/webhook/hi", headers={"Host": "abc.tunnel.example"})).status_code == 202


async def test_the_host_that_it_was_told_to_listen_on_is_its_name_too() -> None:
    async def app(_: object, __: object, send: object) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})  # type: ignore[operator] # ASGI's

    front = Front(app, host="127.0.0.2")

    assert await Exchange(front, "GET", "/", {"Host": "127.0.0.2:8710"}).status() == 200


async def test_an_answer_that_breaks_off_is_not_followed_by_another() -> None:
    async def app(_: object, __: object, send: object) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})  # type: ignore[operator] # ASGI's
        raise RuntimeError("broken in the middle")

    exchange = Exchange(Front(app, host="localhost"), "GET", "/", {"Host": "localhost"})

    assert await exchange.status() == 200
    with pytest.raises(RuntimeError):
        await exchange.task
    assert not exchange.answered
