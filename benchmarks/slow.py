"""An HTTP server on loopback that answers every request after a while, in a process of its own."""

import asyncio
import socket
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
BACKLOG = 4_096


async def serve(listener: socket.socket, seconds: float) -> None:
    """Answer for ever; one request a connection."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(seconds)
        writer.write(ANSWER)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, sock=listener, backlog=BACKLOG)
    await server.serve_forever()


@asynccontextmanager
async def slow_server(seconds: float) -> AsyncIterator[str]:
    """Its address such as http://127.0.0.1:40001."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(BACKLOG)
        listener.set_inheritable(True)
        arguments = ("-m", "benchmarks.slow", str(listener.fileno()), str(seconds))
        process = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, stdin=DEVNULL, pass_fds=(listener.fileno(),)
        )
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            process.terminate()
            await process.wait()


if __name__ == "__main__":
    asyncio.run(serve(socket.socket(fileno=int(sys.argv[1])), float(sys.argv[2])))
