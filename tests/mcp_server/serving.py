"""A real server for the tests of the MCP door: uvicorn on a free port and on a Unix socket."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import uvicorn
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from mcp_server.http import McpDoor


@asynccontextmanager
async def serving(door: McpDoor, unix: Path | None = None) -> AsyncIterator[str]:
    """Serve `door`; gives the URL of its MCP endpoint, or the socket's path. It ends the way a server does."""
    family = socket.AF_UNIX if unix else socket.AF_INET
    # Named, so that asyncio knows it for TCP and sends small answers at once.
    protocol = 0 if unix else socket.IPPROTO_TCP
    with socket.socket(family, socket.SOCK_STREAM, protocol) as listener:
        listener.bind(str(unix) if unix else ("127.0.0.1", 0))
        listener.listen()
        config = uvicorn.Config(door, lifespan="off", log_config=None, ws="websockets-sansio")
        server = uvicorn.Server(config)
        running = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield str(unix) if unix else f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
        finally:
            await door.drain(5)
            server.should_exit = True
            await running


@asynccontextmanager
async def connected(url: str, key: str, mode: str = "auto") -> AsyncIterator[Client]:
    """A client of the server at `url`."""
    headers = {"Authorization": f"Bearer {key}"}
    async with (
        httpx2.AsyncClient(headers=headers) as http,
        Client(streamable_http_client(url, http_client=http), mode=mode) as client,
    ):
        yield client
