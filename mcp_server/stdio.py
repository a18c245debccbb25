"""The ends of `budflow mcp`: the client's stdin and stdout, and the way to the owner over its Unix socket."""

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import AsyncIterator
from io import BufferedReader
from pathlib import Path

from websockets.asyncio.client import ClientConnection, unix_connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from budflow.model.principal import KeyRefused
from mcp_server.front import Backend, BackendGone

#: Twice the largest workflow document, as the server takes.
LINE_BYTES_MAX = 8 * 1024 * 1024
LINES_WAITING_MAX = 64
CONNECT_SECONDS = 5.0
PIPE_URI = "ws://localhost/mcp/stdio"


class StdioLines:
    """The client's lines, read by a thread: a pipe, a terminal and a file alike."""

    def __init__(self, source: BufferedReader, target: int) -> None:
        """`source` is read from now on; `target` is a file descriptor."""
        self._target = target
        self._lines: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._room = threading.Semaphore(LINES_WAITING_MAX)
        self._writing = asyncio.Lock()
        # A daemon: nothing can wake it from its read, and the process must end all the same.
        threading.Thread(
            target=self._pump, args=(source, asyncio.get_running_loop()), name="mcp-stdin", daemon=True
        ).start()

    async def read(self) -> bytes | None:
        """The next line; None at the end. One that is too long comes cut, and so is refused as no JSON."""
        line = await self._lines.get()
        self._room.release()
        return line

    async def write(self, line: bytes) -> None:
        """Write a message and a line's end. Raises OSError when nobody reads any more."""
        async with self._writing:
            await asyncio.to_thread(self._write, line + b"\n")

    def _pump(self, source: BufferedReader, loop: asyncio.AbstractEventLoop) -> None:
        line: bytes | None = b""
        while line is not None:
            line = _next_line(source)
            self._room.acquire()
            try:
                loop.call_soon_threadsafe(self._lines.put_nowait, line)
            except RuntimeError:  # The loop has ended before the client did.
                return

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._target, rest) :]


@contextlib.asynccontextmanager
async def open_stdio() -> AsyncIterator[StdioLines]:
    """Take over stdin and stdout: until the end, whatever else this process prints goes to stderr."""
    wire_in, wire_out = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    try:
        # Not closed: the thread may still wait in a read, and the number must not come to mean another file.
        yield StdioLines(os.fdopen(wire_in, "rb", closefd=False), wire_out)
    finally:
        sys.stdout.flush()  # What was printed and not written yet must not follow on the wire.
        os.dup2(wire_in, 0)
        os.dup2(wire_out, 1)


class SocketBackend:
    """The owner of the data directory, over a WebSocket on its Unix socket."""

    def __init__(self, connection: ClientConnection) -> None:
        """Use `connect_socket`."""
        self._connection = connection

    async def send(self, line: bytes) -> None:
        """Raises BackendGone."""
        try:
            await self._connection.send(line, text=True)
        except ConnectionClosed as error:
            raise BackendGone from error

    async def receive(self) -> bytes:
        """Raises BackendGone."""
        try:
            return await self._connection.recv(decode=False)
        except ConnectionClosed as error:
            raise BackendGone from error

    async def close(self) -> None:
        """Leave."""
        await self._connection.close()


async def connect_socket(socket: Path, key: str) -> Backend:
    """Talk to the owner that listens on `socket`. Raises BackendGone when nobody does, KeyRefused."""
    try:
        connection = await unix_connect(
            str(socket),
            PIPE_URI,
            additional_headers={"Authorization": f"Bearer {key}"},
            compression=None,  # Both ends are on this machine.
            max_size=None,  # The owner limits its answers.
            ping_interval=None,  # A Unix socket says when the other end is gone.
            open_timeout=CONNECT_SECONDS,
        )
    except InvalidStatus as error:
        if error.response.status_code == KeyRefused.http_status:
            raise KeyRefused from error
        raise BackendGone(f"The server refused the connection ({error.response.status_code}).") from error
    except (OSError, TimeoutError, InvalidHandshake, ConnectionClosed) as error:
        raise BackendGone(f"Nobody answers at {socket}.") from error
    return SocketBackend(connection)


def _next_line(source: BufferedReader) -> bytes | None:
    line = source.readline(LINE_BYTES_MAX)
    if len(line) < LINE_BYTES_MAX or line.endswith(b"\n"):
        return line or None
    while (rest := source.readline(LINE_BYTES_MAX)) and not rest.endswith(b"\n"):
        pass
    return line[:100]
