"""The first message of a worker: who it says it is, before its ticket says whether that is so."""

import asyncio
from typing import Any

from websockets.asyncio.connection import Connection
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.protocol import Event

from budflow.sandbox.incoming import FrameRefused, read_from_worker
from budflow.sandbox.messages import FRAME_BYTES_MAX, PROTOCOL_VERSION, Hello

HELLO_SECONDS = 5.0
HELLO_BYTES_MAX = 4_096
POLICY_VIOLATION = 1008
#: What a link may do: no compression (its memory), no pings (the protocol's heartbeats), few frames read ahead.
LINK_OPTIONS: dict[str, Any] = {
    "compression": None,
    "ping_interval": None,
    "close_timeout": 1.0,
    "open_timeout": HELLO_SECONDS,
    "max_size": FRAME_BYTES_MAX,
    "max_queue": 4,
    "server_header": None,
}


_NEVER_SENT = frozenset({Opcode.PING, Opcode.PONG, Opcode.CONT})


class WorkerConnection(ServerConnection):
    """Ends with the first frame that no worker of ours sends: a ping, whose answers it may not read and that pile up
    here, a pong, since nobody pings it, or a part of a message. Of the last two there could be any number.
    """

    def process_event(self, event: Event) -> None:
        """See ServerConnection."""
        if isinstance(event, Frame) and (event.opcode in _NEVER_SENT or not event.fin):
            self.transport.abort()
            return
        super().process_event(event)


WORKER_OPTIONS: dict[str, Any] = {**LINK_OPTIONS, "create_connection": WorkerConnection}
#: Of strangers there may be many, and each could have its largest frames held here before its ticket is seen.
STRANGER_OPTIONS: dict[str, Any] = {**WORKER_OPTIONS, "max_size": HELLO_BYTES_MAX}


def trust_with_frames(connection: Connection) -> None:
    """It is no stranger any more: its frames may be as large as those of workers."""
    connection.protocol.max_message_size = FRAME_BYTES_MAX


class NotGreeted(Exception):
    """It is no worker that could be understood. The text says why."""


async def read_hello(connection: Connection) -> Hello:
    """What a worker says first. Raises NotGreeted."""
    try:
        async with asyncio.timeout(HELLO_SECONDS):
            message = read_from_worker(await connection.recv())
    except FrameRefused as error:
        raise NotGreeted(f"its first message was refused ({error})") from error
    except (ConnectionClosed, TimeoutError) as error:
        raise NotGreeted("it said nothing") from error
    if not isinstance(message, Hello):
        raise NotGreeted("its first message was no `hello`")
    if message.protocol != PROTOCOL_VERSION:
        raise NotGreeted(f"it speaks version {message.protocol} of the protocol and not {PROTOCOL_VERSION}")
    return message
