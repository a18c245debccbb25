"""What carries an external worker's link: from a Unix socket, as the worker knows it, by TLS to sandboxd elsewhere.

The worker itself then needs neither a network nor certificates.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from budflow.errors import BudflowError
from budflow.log import get_log

CONNECT_SECONDS = 20.0
READ_BYTES = 256 * 1024
LINKS_MAX = 16

log = get_log(__name__)


class RelayRefused(BudflowError):
    """The link to sandboxd cannot be carried as asked."""

    code = "sandbox.relay_refused"
    http_status = 400
    hint = "Give --connect as HOST:PORT, and by --ca the certificates of who signed that of sandboxd."


@dataclass(frozen=True, slots=True)
class Relay:
    """From connections on a Unix socket to `host` and `port`."""

    host: str
    port: int
    context: ssl.SSLContext

    @staticmethod
    def to(address: str, ca: Path | None) -> "Relay":
        """Only what `ca` holds is trusted, or without it what the system trusts. Raises RelayRefused."""
        host, _, port = address.rpartition(":")
        if not host or not port.isdecimal():
            raise RelayRefused(f"`{address}` is no HOST:PORT.")
        try:
            context = ssl.create_default_context(cafile=ca)
        except (OSError, ssl.SSLError) as error:
            raise RelayRefused(f"{ca} holds no certificates: {error}.") from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return Relay(host.strip("[]"), int(port), context)

    @asynccontextmanager
    async def serving(self, path: Path) -> AsyncIterator[None]:
        """Serve on `path`, to every user that gets there."""
        links = asyncio.Semaphore(LINKS_MAX)

        async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            async with links:
                await self._carry(reader, writer)

        server = await asyncio.start_unix_server(hear, sock=_listening(path), limit=READ_BYTES)
        try:
            yield
        finally:
            server.close()
            _remove(path)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                there_in, there_out = await asyncio.open_connection(
                    self.host, self.port, ssl=self.context, limit=READ_BYTES
                )
        except (OSError, TimeoutError) as error:
            log.warning("sandbox.relay_failed", host=self.host, port=self.port, why=str(error) or "no answer in time")
            await _close(writer)
            return
        ways = [asyncio.create_task(_pump(reader, there_out)), asyncio.create_task(_pump(there_in, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, _close(there_out), _close(writer), return_exceptions=True)


def _listening(path: Path) -> socket.socket:
    _remove(path)
    made = socket.socket(socket.AF_UNIX)
    made.bind(str(path))
    path.chmod(0o666)
    return made


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(READ_BYTES):
            writer.write(data)
            await writer.drain()


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
