"""What `budflow mcp` is made of, as a program of its own: `embedded`, or `pipe SOCKET KEY`."""

import asyncio
import sys
from pathlib import Path

from mcp_server.front import Front
from mcp_server.stdio import connect_socket, open_stdio


async def embedded() -> None:
    async with open_stdio() as lines:
        print("this must not reach the client")  # noqa: T201 - what a careless library does
        from budflow.app import open_temporary
        from budflow.settings import Settings
        from mcp_server.embedded import open_embedded

        async with open_temporary(Settings()) as runtime:
            await Front(lines).run(lambda: open_embedded(runtime.services))


async def pipe(socket: Path, key: str) -> None:
    async with open_stdio() as lines:
        await Front(lines).run(lambda: connect_socket(socket, key))


if __name__ == "__main__":
    if sys.argv[1] == "embedded":
        asyncio.run(embedded())
    else:
        asyncio.run(pipe(Path(sys.argv[2]), sys.argv[3]))
