"""Carries bytes both ways between the code's connection and the one that the proxy opened for it."""

import asyncio
from collections.abc import Callable

CHUNK_BYTES = 64 * 1024

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]
#: Whether so many bytes more may pass.
Spend = Callable[[int], bool]


class _SpentError(Exception):
    """No more bytes may pass."""


class Relay:
    """One pair of connections, until both are at their end, or nothing moved for `idle_seconds`."""

    def __init__(self, idle_seconds: float, spend: Spend) -> None:
        self.sent_bytes = 0
        self.received_bytes = 0
        self._idle_seconds = idle_seconds
        self._spend = spend

    async def run(self, client: Stream, upstream: Stream, body_bytes: int | None) -> str:
        """How it went: `closed`, `idle`, or `cut` when no more bytes may pass. Raises OSError.

        With `body_bytes` only so many go from the client; the answer's end is the end.
        """
        try:
            async with asyncio.timeout(self._idle_seconds) as patience:
                up = asyncio.create_task(self._send(client[0], upstream[1], body_bytes, patience))
                down = asyncio.create_task(self._receive(upstream[0], client[1], patience))
                try:
                    await asyncio.wait({up, down}, return_when=asyncio.FIRST_EXCEPTION)
                finally:
                    up.cancel()
                    down.cancel()
                    ends = await asyncio.gather(up, down, return_exceptions=True)
        except TimeoutError:
            return "idle"
        errors = [end for end in ends if isinstance(end, Exception)]
        if any(isinstance(error, _SpentError) for error in errors):
            return "cut"
        if errors:
            raise errors[0]
        return "closed"

    async def _send(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, left: int | None, patience: asyncio.Timeout
    ) -> None:
        while left != 0:
            data = await reader.read(CHUNK_BYTES if left is None else min(left, CHUNK_BYTES))
            if not data:
                break
            self._count(len(data), patience)
            self.sent_bytes += len(data)
            if left is not None:
                left -= len(data)
            writer.write(data)
            await writer.drain()
        if left is None:
            writer.write_eof()

    async def _receive(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, patience: asyncio.Timeout
    ) -> None:
        while data := await reader.read(CHUNK_BYTES):
            self._count(len(data), patience)
            self.received_bytes += len(data)
            writer.write(data)
            await writer.drain()
        writer.write_eof()

    def _count(self, size: int, patience: asyncio.Timeout) -> None:
        if not self._spend(size):
            raise _SpentError
        patience.reschedule(asyncio.get_running_loop().time() + self._idle_seconds)
