"""The front: the client stays while backends come and go, and nothing is answered twice or never."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from mcp_server.front import Backend, BackendGone, Front

INITIALIZE = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {"protocolVersion": "2025-11-25"}}
INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}


def call(request_id: int, tool: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "method": "tools/call", "params": {"name": tool}}


class FakeClient:
    """The client's side: what a test says, and what it is told."""

    def __init__(self) -> None:
        self._said: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.left = False

    def say(self, message: dict[str, Any]) -> None:
        self._said.put_nowait(json.dumps(message).encode() + b"\n")

    def leave(self) -> None:
        self._said.put_nowait(None)

    async def read(self) -> bytes | None:
        return await self._said.get()

    async def write(self, line: bytes) -> None:
        if self.left:
            raise BrokenPipeError
        self.told.put_nowait(json.loads(line))


class FakeBackend:
    """A backend that answers when the test says so."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._answers: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.gone = False

    def answer(self, request_id: Any) -> None:
        self._answers.put_nowait(json.dumps({"jsonrpc": "2.0", "id": request_id, "result": {}}).encode())

    def vanish(self) -> None:
        self.gone = True
        self._answers.put_nowait(None)

    async def send(self, line: bytes) -> None:
        if self.gone:
            raise BackendGone
        self.heard.put_nowait(json.loads(line))

    async def receive(self) -> bytes:
        answer = await self._answers.get()
        if answer is None:
            raise BackendGone
        return answer

    async def close(self) -> None:
        if not self.gone:
            self.vanish()


class Stage:
    """A front between a fake client and the backends that a test brings."""

    def __init__(self) -> None:
        self.client = FakeClient()
        self.front = Front(self.client)
        self.backends: asyncio.Queue[FakeBackend | BackendGone] = asyncio.Queue()
        self.wanted: asyncio.Queue[None] = asyncio.Queue()

    async def connect(self) -> Backend:
        self.wanted.put_nowait(None)
        backend = await self.backends.get()
        if isinstance(backend, BackendGone):
            raise backend
        return backend

    def bring(self) -> FakeBackend:
        backend = FakeBackend()
        self.backends.put_nowait(backend)
        return backend

    async def shake_hands(self) -> FakeBackend:
        """A first backend with which the client has made the handshake of the older era."""
        backend = self.bring()
        self.client.say(INITIALIZE)
        assert await backend.heard.get() == INITIALIZE
        backend.answer(0)
        assert (await self.client.told.get())["id"] == 0
        self.client.say(INITIALIZED)
        assert await backend.heard.get() == INITIALIZED
        return backend


@asynccontextmanager
async def running(stage: Stage) -> AsyncIterator[None]:
    task = asyncio.create_task(stage.front.run(stage.connect))
    yield
    stage.client.leave()
    await task


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    async with running(stage):
        yield stage


async def test_the_handshake_is_repeated_at_a_new_backend_and_the_client_hears_nothing_of_it(stage: Stage) -> None:
    (await stage.shake_hands()).vanish()

    second = stage.bring()
    replayed = await second.heard.get()
    assert {**replayed, "id": 0} == INITIALIZE
    assert await second.heard.get() == INITIALIZED
    second.answer(replayed["id"])
    stage.client.say(call(1, "get_node"))
    await second.heard.get()
    second.answer(1)

    assert (await stage.client.told.get())["id"] == 1


async def test_a_client_of_the_newer_era_makes_no_handshake_and_none_is_made_for_it(stage: Stage) -> None:
    first = stage.bring()
    stage.client.say(call(1, "get_node"))
    await first.heard.get()
    first.answer(1)
    await stage.client.told.get()
    first.vanish()

    second = stage.bring()
    stage.client.say(call(2, "get_node"))

    assert (await second.heard.get())["id"] == 2
    second.answer(2)


async def test_reads_that_got_lost_are_made_again(stage: Stage) -> None:
    first = stage.bring()
    for request in (call(1, "get_node"), {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}):
        stage.client.say(request)
        await first.heard.get()
    first.vanish()

    second = stage.bring()

    assert [(await second.heard.get())["id"] for _ in range(2)] == [1, 2]
    second.answer(1)
    second.answer(2)


async def test_an_effect_that_got_lost_is_not_repeated_but_told(stage: Stage) -> None:
    first = stage.bring()
    stage.client.say(call(1, "create_workflow"))
    await first.heard.get()
    first.vanish()

    told = await stage.client.told.get()
    assert told["id"] == 1
    assert told["error"]["data"]["code"] == "mcp.interrupted"
    assert "list_executions" in told["error"]["message"]


async def test_what_was_never_sent_waits_for_the_next_backend(stage: Stage) -> None:
    first = await stage.shake_hands()
    await stage.wanted.get()
    first.vanish()
    await stage.wanted.get()
    stage.client.say(call(1, "create_workflow"))

    second = stage.bring()
    heard = [await second.heard.get() for _ in range(3)]

    assert heard[2]["id"] == 1
    second.answer(1)


async def test_without_a_backend_the_client_is_told_why_and_may_try_again(stage: Stage) -> None:
    for _ in range(2):  # At the start, and with the first message.
        stage.backends.put_nowait(BackendGone("There is no server."))
    await stage.wanted.get()
    stage.client.say(INITIALIZE)
    told = await stage.client.told.get()
    assert told["error"]["message"].startswith("There is no server.")

    backend = stage.bring()
    stage.client.say({**INITIALIZE, "id": 5})

    assert await backend.heard.get() == {**INITIALIZE, "id": 5}  # And no handshake before it: none was made.
    backend.answer(5)


async def test_a_handover_answers_what_is_open_and_keeps_what_is_new(stage: Stage) -> None:
    first = stage.bring()
    stage.client.say(call(1, "run_workflow"))
    await first.heard.get()

    handing_over = asyncio.create_task(_hand_over(stage))
    first.answer(1)
    assert (await stage.client.told.get())["id"] == 1
    await handing_over

    second = stage.bring()
    assert first.gone
    assert (await second.heard.get())["id"] == 2
    second.answer(2)


async def _hand_over(stage: Stage) -> None:
    async with stage.front.held(drain_seconds=5):
        stage.client.say(call(2, "create_workflow"))


async def test_a_handover_does_not_wait_longer_than_it_may(stage: Stage) -> None:
    first = stage.bring()
    stage.client.say(call(1, "run_workflow"))
    await first.heard.get()

    async with stage.front.held(drain_seconds=0.01):
        pass

    told = await stage.client.told.get()
    assert told["error"]["data"]["code"] == "mcp.interrupted"


async def test_a_cancelled_request_is_not_waited_for(stage: Stage) -> None:
    first = stage.bring()
    stage.client.say(call(1, "run_workflow"))
    stage.client.say({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}})
    await first.heard.get()
    await first.heard.get()

    async with stage.front.held(drain_seconds=60):
        assert stage.client.told.empty()


async def test_what_was_asked_before_the_client_left_is_still_answered() -> None:
    stage = Stage()
    backend = stage.bring()
    stage.client.say(call(1, "get_node"))
    stage.client.leave()
    task = asyncio.create_task(stage.front.run(stage.connect))
    await backend.heard.get()
    backend.answer(1)

    await task
    assert (await stage.client.told.get())["id"] == 1


async def test_a_handover_after_the_client_left_waits_for_nobody() -> None:
    stage = Stage()
    stage.bring()
    stage.client.leave()
    await stage.front.run(stage.connect)

    async with stage.front.held(drain_seconds=60):
        pass


async def test_a_client_that_no_longer_reads_ends_it() -> None:
    stage = Stage()
    backend = stage.bring()
    stage.client.say(call(1, "get_node"))
    task = asyncio.create_task(stage.front.run(stage.connect))
    await backend.heard.get()
    stage.client.left = True
    backend.answer(1)

    await task


@pytest.mark.parametrize(
    "message",
    [
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": ["get_node"]},
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": {}}},
        {"jsonrpc": "2.0", "id": {}, "method": "tools/list"},
        {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": [1]},
        {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": {}}},
        {"jsonrpc": "2.0", "method": ["tools/call"], "id": 1},
    ],
)
async def test_a_malformed_message_is_left_to_the_backend_to_refuse(stage: Stage, message: dict[str, Any]) -> None:
    backend = stage.bring()

    stage.client.say(message)

    assert await backend.heard.get() == message
