"""A client of an MCP server's tools, as an agent is one: for the demo and for checking a server from outside."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from budflow.errors import BudflowError


class ToolRefused(BudflowError):
    """The tool answered with an error."""

    code = "mcp.tool_refused"
    http_status = 422
    hint = "Read what the tool says."


class ToolClient:
    """Calls tools by name and gives back their structured content."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def tools(self) -> list[str]:
        """The names of the tools there are."""
        return [tool.name for tool in (await self._client.list_tools()).tools]

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Call a tool. Raises ToolRefused with what the tool said as `details`."""
        result = await self._client.call_tool(tool, dict(arguments))
        content = dict(result.structured_content or {})
        if result.is_error:
            text = next((part.text for part in result.content if part.type == "text"), "")
            raise ToolRefused(f"{tool}: {content.get('message') or text}", answer=content)
        return content


@asynccontextmanager
async def connect(url: str, key: str) -> AsyncIterator[ToolClient]:
    """A connection to the MCP server at `url`, over streamable HTTP with a bearer key."""
    headers = {"Authorization": f"Bearer {key}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=60) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        yield ToolClient(client)
