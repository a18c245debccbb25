"""The proxy itself: a Unix socket for one worker, on which HTTP/1.1 reaches the hosts that its task names.

It resolves the names, has every address checked, and connects to an address that was: the name is never looked up
again, so that a server of names cannot first give a public address and then an inner one.
"""

import asyncio
import contextlib
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Protocol

from budflow.errors import BudflowError
from budflow.log import get_log
from budflow.sandbox.egress.relay import CHUNK_BYTES, Relay
from budflow.sandbox.egress.request import ProxyRequest, RequestRefused, covers, parse_request

log = get_log(__name__)

_HEAD_END = b"\r\n\r\n"
_LINGER_SECONDS = 0.5
_LINGER_READS = 16
#: Beyond so many connections for each that is allowed no answer is given either.
_CROWD = 4


class CheckedAddresses(Protocol):
    """Resolves a host and checks what it found: addresses that may be connected to, best first.

    Raises a BudflowError: with `http_status` 403 where an address is refused, another one where there is none.
    """

    def __call__(self, host: str, port: int, /) -> Awaitable[Sequence[IPv4Address | IPv6Address]]: ...


@dataclass(frozen=True, slots=True)
class EgressLimits:
    """What the code of one worker may use of the way out."""

    connections: int = 32
    total_connections: int = 20_000  # Each is logged.
    head_bytes: int = 16 * 1024
    head_seconds: float = 10.0
    connect_seconds: float = 10.0
    idle_seconds: float = 60.0
    total_bytes: int = 4 * 1024 * 1024 * 1024  # Of all connections together, both ways.


LIMITS = EgressLimits()


@dataclass(slots=True)
class EgressConnection:
    """What came of one connection, for the log. `outcome` is `closed`, `refused`, `failed`, `idle` or `cut`."""

    name: str
    host: str = ""
    port: int = 0
    address: str = ""
    outcome: str = "cut"
    reason: str = ""
    sent_bytes: int = 0
    received_bytes: int = 0
    started: float = field(default_factory=time.monotonic)


OnConnection = Callable[[EgressConnection], None]


def log_connection(connection: EgressConnection) -> None:
    """Write it to the process's log."""
    log.info(
        "sandbox.egress",
        task=connection.name,
        host=connection.host,
        port=connection.port,
        address=connection.address,
        outcome=connection.outcome,
        reason=connection.reason,
        sent_bytes=connection.sent_bytes,
        received_bytes=connection.received_bytes,
        seconds=round(time.monotonic() - connection.started, 3),
    )


class Egress:
    """Serves sockets. `addresses` resolves and checks; every connection is told to `on_connection` when it ended."""

    def __init__(
        self,
        addresses: CheckedAddresses,
        limits: EgressLimits = LIMITS,
        on_connection: OnConnection = log_connection,
    ) -> None:
        self.addresses = addresses
        self.limits = limits
        self.on_connection = on_connection

    async def serve(
        self, path: Path, hosts: Sequence[str], name: str, *, on_connection: OnConnection | None = None
    ) -> "EgressSocket":
        """Listen at `path`, for connections to `hosts` (patterns); `name` is the task's, for the log.

        The socket may be used by whoever reaches it: its directory is to be closed to others. Raises OSError.
        """
        served = EgressSocket(self, path, tuple(hosts), name, on_connection)
        await served.open()
        return served


class EgressSocket:
    """One worker's way out, until it is closed."""

    def __init__(
        self, egress: Egress, path: Path, hosts: tuple[str, ...], name: str, on_connection: OnConnection | None
    ) -> None:
        self.path = path
        self._egress = egress
        self._hosts = hosts
        self._name = name
        self._told = on_connection
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._bytes_left = egress.limits.total_bytes
        self._connections_left = egress.limits.total_connections

    async def open(self) -> None:
        """Begin to listen."""
        self.path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(
            self._on_client, str(self.path), limit=self._egress.limits.head_bytes
        )
        self.path.chmod(0o666)  # The worker is another user, or one of a user namespace.

    async def allow(self, hosts: Sequence[str], name: str) -> None:
        """The worker's next task may reach these hosts and no others; what is still open from the last one is cut."""
        self._hosts = tuple(hosts)
        self._name = name
        self._bytes_left = self._egress.limits.total_bytes
        self._connections_left = self._egress.limits.total_connections
        await self._cut()

    async def close(self) -> None:
        """Cut every connection and remove the socket."""
        if self._server is not None:
            self._server.close()
        await self._cut()
        self.path.unlink(missing_ok=True)

    async def _cut(self) -> None:
        cut = list(self._connections)
        for task in cut:
            task.cancel()
        await asyncio.gather(*cut, return_exceptions=True)

    def _on_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        limits = self._egress.limits
        self._connections_left -= 1
        if self._connections_left < 0 or len(self._connections) >= _CROWD * limits.connections:
            writer.close()
            return
        task = asyncio.create_task(self._carry_out(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _carry_out(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = EgressConnection(self._name)
        try:
            async with contextlib.AsyncExitStack() as stack:
                stack.push_async_callback(self._let_go, writer, connection)
                try:
                    request = await self._request(reader, connection)
                    upstream = await self._connect(request, connection)
                except RequestRefused as refused:
                    connection.outcome = "refused" if refused.status < HTTPStatus.INTERNAL_SERVER_ERROR else "failed"
                    connection.reason = refused.reason
                    await _answer(reader, writer, refused)
                    return
                stack.push_async_callback(self._let_go, upstream[1], connection)
                await self._relay(request, (reader, writer), upstream, connection)
        except (OSError, asyncio.IncompleteReadError) as error:
            connection.outcome, connection.reason = "failed", str(error)
        finally:
            (self._told or self._egress.on_connection)(connection)

    async def _let_go(self, writer: asyncio.StreamWriter, connection: EgressConnection) -> None:
        """Close it when what is still to be sent was; who does not read would keep it open for ever, and does not.

        Meanwhile the connection counts as one of those that are open. One that is cut ends at once.
        """
        try:
            if connection.outcome != "cut":
                writer.close()
                async with asyncio.timeout(self._egress.limits.idle_seconds):
                    await writer.wait_closed()
        except (OSError, TimeoutError):
            pass
        finally:
            writer.transport.abort()

    async def _request(self, reader: asyncio.StreamReader, connection: EgressConnection) -> ProxyRequest:
        limits = self._egress.limits
        crowded = len(self._connections) > limits.connections
        try:
            async with asyncio.timeout(limits.head_seconds):
                head = await reader.readuntil(_HEAD_END)
        except TimeoutError:
            raise RequestRefused(408, "The request did not come in time.") from None
        except asyncio.LimitOverrunError:
            raise RequestRefused(431, f"The request's head is longer than {limits.head_bytes:,} bytes.") from None
        if crowded:
            raise RequestRefused(503, f"The code has {limits.connections} connections open; it may have no more.")
        if self._bytes_left <= 0:
            raise RequestRefused(403, f"The code transferred {limits.total_bytes:,} bytes; it may transfer no more.")
        request = parse_request(head[: -len(_HEAD_END)])
        connection.host, connection.port = request.host, request.port
        if not covers(self._hosts, request.host, request.port):
            shown = request.host if request.port in {80, 443} else f"{request.host}:{request.port}"
            raise RequestRefused(
                403, f"The code may not reach {request.host}:{request.port}. Add `{shown}` to the node's `network`."
            )
        return request

    async def _connect(
        self, request: ProxyRequest, connection: EgressConnection
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to the first address that answers, of those that were checked."""
        try:
            async with asyncio.timeout(self._egress.limits.connect_seconds):
                addresses = await self._egress.addresses(request.host.strip("[]"), request.port)
                for address in addresses:
                    connection.address = str(address)
                    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
                    with contextlib.suppress(OSError):
                        return await asyncio.open_connection(
                            str(address), request.port, family=family, flags=socket.AI_NUMERICHOST
                        )
        except BudflowError as error:
            raise RequestRefused(403 if error.http_status == 403 else 502, f"{error.message}. {error.hint}") from None
        except TimeoutError:
            raise RequestRefused(504, f"{request.host}:{request.port} did not answer in time.") from None
        raise RequestRefused(502, f"{request.host}:{request.port} could not be reached.")

    async def _relay(
        self,
        request: ProxyRequest,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        upstream: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        connection: EgressConnection,
    ) -> None:
        if request.body_bytes is None:
            client[1].write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            upstream[1].write(request.head)
        relay = Relay(self._egress.limits.idle_seconds, self._spend)
        try:
            connection.outcome = await relay.run(client, upstream, request.body_bytes)
        finally:
            connection.sent_bytes, connection.received_bytes = relay.sent_bytes, relay.received_bytes

    def _spend(self, size: int) -> bool:
        """Take bytes from those that are left."""
        self._bytes_left -= size
        return self._bytes_left >= 0


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, refused: RequestRefused) -> None:
    body = f"{refused.reason}\n".encode()
    phrase = HTTPStatus(refused.status).phrase
    head = (
        f"HTTP/1.1 {refused.status} {phrase}\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    writer.write(head.encode("ascii") + body)
    writer.write_eof()
    # Closed with something unread, the connection would be reset, and the answer lost with it.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LINGER_SECONDS):
            for _ in range(_LINGER_READS):
                if not await reader.read(CHUNK_BYTES):
                    break
