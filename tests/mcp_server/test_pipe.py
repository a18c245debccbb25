"""Conversations in lines: what the SDK would pass over is answered, and they end in order."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from budflow.app import Runtime
from budflow.model.principal import Principal
from mcp_server.pipe import Conversation
from mcp_server.server import build_server
from tests.mcp_server.documents import greeting

META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


class Talk:
    """A conversation with what it answered."""

    def __init__(self, runtime: Runtime, principal: Principal) -> None:
        self.answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.conversation = Conversation(build_server(runtime.services, lambda _: principal), self._write)

    async def _write(self, text: str) -> None:
        self.answers.put_nowait(json.loads(text))

    async def ask(self, request_id: int, method: str, **params: Any) -> None:
        message = {"jsonrpc": "2.0", "id": request_id, "method": method, "params": {**params, "_meta": META}}
        await self.conversation.take(json.dumps(message))


@pytest.fixture
async def talk(runtime: Runtime, principal: Principal) -> AsyncIterator[Talk]:
    talk = Talk(runtime, principal)
    running = asyncio.create_task(talk.conversation.run())
    yield talk
    talk.conversation.close()
    await running


async def test_a_line_that_is_no_json_is_answered(talk: Talk) -> None:
    await talk.conversation.take(b"hello")

    answer = await talk.answers.get()
    assert answer["error"]["code"] == -32700
    assert answer["id"] is None


async def test_json_that_is_no_message_is_answered_under_its_id(talk: Talk) -> None:
    await talk.conversation.take('{"id": 7, "call": "tools/list"}')

    answer = await talk.answers.get()
    assert (answer["id"], answer["error"]["code"]) == (7, -32600)


async def test_draining_waits_for_the_answers_and_takes_nothing_new(talk: Talk) -> None:
    await talk.ask(1, "tools/call", name="create_workflow", arguments={"document": greeting()})
    await talk.conversation.drain(10)
    await talk.ask(2, "tools/list")

    assert talk.answers.get_nowait()["id"] == 1
    assert talk.answers.empty()


@pytest.mark.parametrize("request_id", [{}, [1], True, None, 99, "nobody"])
async def test_what_a_client_cancels_wrongly_is_passed_over(talk: Talk, request_id: Any) -> None:
    cancelled = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": request_id}}
    await talk.conversation.take(json.dumps(cancelled))
    await talk.ask(1, "tools/list")

    assert (await talk.answers.get())["id"] == 1


@pytest.mark.parametrize("line", ['{"id": true}', '{"id": 1.5}', '{"id": {}}', "[]", "7"])
async def test_an_id_that_is_none_is_not_repeated(talk: Talk, line: str) -> None:
    await talk.conversation.take(line)

    answer = await talk.answers.get()
    assert (answer["id"], answer["error"]["code"]) == (None, -32600)
