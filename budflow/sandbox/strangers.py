"""Who stands at a door for workers and has not shown a ticket yet: how many there may be, and for how long.

They are counted from the moment on at which they are there, so that one too many costs neither TLS nor memory.
"""

import asyncio
import os
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from websockets.asyncio.server import ServerConnection

from budflow.log import get_log
from budflow.sandbox.greet import HELLO_SECONDS, WorkerConnection
from budflow.sandbox.shares import PlacesTaken, Shares

STRANGERS_MAX = 100
#: However many are turned away, the log has a line in this time.
LOG_SECONDS = 60.0
SHUTDOWN_SECONDS = 1.0

log = get_log(__name__)


@dataclass(frozen=True, slots=True)
class _Stranger:
    address: str
    deadline: asyncio.TimerHandle
    cut_off: Callable[[], None]


class Strangers:
    """Those at one door. From one address there are never more than there is room for from others."""

    def __init__(self, most: int = STRANGERS_MAX, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._shares, self._clock = Shares(most), clock
        self._there: dict[ServerConnection, _Stranger] = {}
        self._refused, self._told_at = 0, -LOG_SECONDS

    def __len__(self) -> int:
        return len(self._there)

    def connecting(self, context: ssl.SSLContext | None = None) -> Callable[..., ServerConnection]:
        """For `create_connection` of `serve`. With a context TLS is begun by it, so `serve` is not given any."""
        return partial(_StrangerConnection, self, context)

    def let_in(self, connection: "_StrangerConnection", address: str) -> bool:
        """Whether there is room for one more. It has HELLO_SECONDS to be `greeted`."""
        try:
            self._shares.take(address)
        except PlacesTaken:
            self._refused += 1
            if self._clock() - self._told_at >= LOG_SECONDS:
                log.warning("sandbox.strangers_refused", refused=self._refused, address=address)
                self._refused, self._told_at = 0, self._clock()
            return False
        deadline = asyncio.get_running_loop().call_later(HELLO_SECONDS, connection.cut_off)
        self._there[connection] = _Stranger(address, deadline, connection.cut_off)
        return True

    def greeted(self, connection: ServerConnection) -> None:
        """It has shown its ticket, or is gone: it is no stranger any more."""
        stranger = self._there.pop(connection, None)
        if stranger is not None:
            stranger.deadline.cancel()
            self._shares.give_back(stranger.address)

    def close(self) -> None:
        """Turn all away that are there."""
        for stranger in list(self._there.values()):
            stranger.cut_off()


class _StrangerConnection(WorkerConnection):
    """Begins TLS, and then the handshake of a WebSocket, only where it was let in."""

    def __init__(self, strangers: Strangers, context: ssl.SSLContext | None, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self._strangers, self._context = strangers, context
        self._securing: asyncio.Task[None] | None = None
        self._taken: socket.socket | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol: that of TCP or the Unix socket is there, and later that of TLS."""
        transport = cast("asyncio.Transport", transport)  # A stream's; uvloop's is one by its shape only.
        if self._securing is not None:
            super().connection_made(transport)
        elif not self._strangers.let_in(self, _address(transport)):
            _let_go(transport)
        elif self._context is None:
            super().connection_made(transport)
        else:
            self._begin_tls(transport, self._context)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._strangers.greeted(self)
        super().connection_lost(exc)

    def cut_off(self) -> None:
        """End it, whatever it is at."""
        if self._securing is not None and not self._securing.done():
            self._securing.cancel()
            self._strangers.greeted(self)
            if self._taken is not None:  # It has not begun, and will not.
                self._taken.close()
        else:
            self.transport.abort()

    def _begin_tls(self, transport: asyncio.Transport, context: ssl.SSLContext) -> None:
        """On a transport of its own: with uvloop `start_tls` would lose what has come by then."""
        try:
            self._taken = socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))
        except OSError:  # No file can be opened any more.
            self._strangers.greeted(self)
        else:
            self._securing = self.loop.create_task(self._secure(self._taken, context))
        _let_go(transport)

    async def _secure(self, taken: socket.socket, context: ssl.SSLContext) -> None:
        connected, self._taken = False, None
        try:
            await self.loop.connect_accepted_socket(
                lambda: self,
                taken,
                ssl=context,
                ssl_handshake_timeout=HELLO_SECONDS,
                ssl_shutdown_timeout=SHUTDOWN_SECONDS,
            )
            connected = True
        except OSError:  # It speaks no TLS, or not in time, or went.
            pass
        finally:
            if not connected:
                self._strangers.greeted(self)  # Of an end before TLS it is not told.


def _let_go(transport: asyncio.Transport) -> None:
    transport.set_protocol(asyncio.Protocol())  # Nobody is told of its end.
    transport.abort()


def _address(transport: asyncio.Transport) -> str:
    """Where it comes from; who comes over a Unix socket has no address."""
    peer = transport.get_extra_info("peername")
    return str(peer[0]) if isinstance(peer, tuple) and peer else ""
