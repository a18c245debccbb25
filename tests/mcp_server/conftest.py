"""What the tests of the MCP door share: services over a store in memory, and clients of both protocol eras."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Any, TypeVar

import pytest
from mcp import Client
from mcp_types import CallToolResult

from budflow.app import Runtime, open_temporary
from budflow.model.principal import OWNER, Principal
from budflow.settings import Settings
from mcp_server.server import build_server

T = TypeVar("T")

#: Modes of the client; `auto` asks the server first and so gets the newest era.
ERAS = ["legacy", "auto"]


class Agent:
    """An MCP client connected to a server in this process."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The structured answer of a call that must not fail."""
        result = await self.client.call_tool(tool, arguments)
        assert not result.is_error, result.content
        return dict(result.structured_content)

    async def refused(self, tool: str, **arguments: Any) -> tuple[str, Mapping[str, Any]]:
        """The text and the structured answer of a call that must fail."""
        result: CallToolResult = await self.client.call_tool(tool, arguments)
        assert result.is_error, result.structured_content
        return result.content[0].text, result.structured_content


@asynccontextmanager
async def in_one_task(context: AbstractAsyncContextManager[T]) -> AsyncIterator[T]:
    """Enter and leave `context` in one task, as anyio demands and fixtures do not."""
    entered: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    leave = asyncio.Event()

    async def hold() -> None:
        try:
            async with context as value:
                entered.set_result(value)
                await leave.wait()
        except BaseException as error:
            if entered.done():
                raise
            entered.set_exception(error)

    holding = asyncio.create_task(hold())
    yield await entered
    leave.set()
    await holding


@pytest.fixture
async def runtime() -> AsyncIterator[Runtime]:
    async with open_temporary(Settings()) as runtime:
        yield runtime


@pytest.fixture
def principal() -> Principal:
    """Who the agent is; a test module may override it."""
    return replace(OWNER, door="mcp")


@pytest.fixture(params=ERAS, ids=["2025", "2026"])
async def agent(runtime: Runtime, principal: Principal, request: pytest.FixtureRequest) -> AsyncIterator[Agent]:
    """An agent that may do everything, in both protocol eras."""
    server = build_server(runtime.services, lambda _: principal)
    async with in_one_task(Client(server, mode=request.param)) as client:
        yield Agent(client)
