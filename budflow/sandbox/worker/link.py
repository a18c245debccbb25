"""The worker's link to the broker: messages of the protocol as text frames of a WebSocket, over a Unix socket.

The broker serves it for this worker, or a relay that carries it to a broker elsewhere.
"""

import json
import logging
import re
import socket
from typing import Any

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.uri import parse_uri

from budflow.sandbox.worker.limits import CONNECT_SECONDS_MAX, FRAME_BYTES_MAX, GOODBYE_SECONDS_MAX

_READ_BYTES = 256 * 1024
#: How the broker's messages of items begin: they are large, and read only where they are needed, by the code's process.
_ITEMS = re.compile(rb'\{"type":"data","task_id":"([A-Za-z0-9_-]{1,64})",')
_SILENT = logging.getLogger("budflow.sandbox.worker.silent")
_SILENT.disabled = True

#: A message, and its text. Of `data` only the first two fields may have been read.
Received = tuple[dict[str, Any], bytes]


class BrokerGone(Exception):
    """The broker ended the connection, or does not speak the protocol."""


class Link:
    """Never blocks once it is connected; what the kernel does not take at once waits until `flush`."""

    def __init__(self, path: str) -> None:
        """Connect to the broker's socket. Raises BrokerGone."""
        self._protocol = ClientProtocol(parse_uri("ws://broker/"), max_size=FRAME_BYTES_MAX, logger=_SILENT)
        self._unsent: list[memoryview] = []
        self._unsent_bytes = 0
        self._fragments: list[bytes] = []
        self._received: list[Received] = []
        try:
            self._sock = _connect(path)
            self._protocol.send_request(self._protocol.connect())
            for data in self._protocol.data_to_send():
                self._sock.sendall(data)
            while self._protocol.state is State.CONNECTING and self._protocol.handshake_exc is None:
                self._take(self._sock.recv(_READ_BYTES))
        except OSError as error:
            raise BrokerGone(f"{path}: {error}") from error
        if self._protocol.handshake_exc is not None:
            raise BrokerGone(f"{path}: {self._protocol.handshake_exc}")
        self._sock.setblocking(False)

    def fileno(self) -> int:
        """For a selector."""
        return self._sock.fileno()

    @property
    def unsent_bytes(self) -> int:
        """What waits for the broker to read."""
        return self._unsent_bytes

    def send(self, message: dict[str, Any]) -> None:
        """Send a message. Raises BrokerGone."""
        self.send_text(json.dumps(message, separators=(",", ":")).encode())

    def send_text(self, message: bytes) -> None:
        """Send what is JSON already. Raises BrokerGone."""
        if self._protocol.state is not State.OPEN:
            raise BrokerGone("the connection is closed")
        self._protocol.send_text(message)
        self._queue()

    def close(self) -> None:
        """Say goodbye, and wait a moment for the answer: to close earlier could cut off what was said before."""
        try:
            if self._protocol.state is State.OPEN:
                self._protocol.send_close(1000)
                self._queue()
                self._sock.settimeout(GOODBYE_SECONDS_MAX)
                for data in self._unsent:
                    self._sock.sendall(data)
                while self._sock.recv(_READ_BYTES):
                    pass
        except OSError:
            pass
        finally:
            self._sock.close()

    def receive(self) -> list[Received]:
        """The messages that came. Raises BrokerGone."""
        try:
            self._take(self._sock.recv(_READ_BYTES))
        except (BlockingIOError, InterruptedError):
            return []
        except OSError as error:
            raise BrokerGone(str(error)) from error
        received, self._received = self._received, []
        return received

    def flush(self) -> None:
        """Send what the kernel takes. Raises BrokerGone."""
        try:
            while self._unsent:
                data = self._unsent[0]
                sent = self._sock.send(data)
                self._unsent_bytes -= sent
                if sent < len(data):
                    self._unsent[0] = data[sent:]
                    return
                self._unsent.pop(0)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            raise BrokerGone(str(error)) from error

    def _queue(self) -> None:
        for data in self._protocol.data_to_send():
            if data:  # An empty one asks to end the direction, which closing does.
                self._unsent.append(memoryview(data))
                self._unsent_bytes += len(data)

    def _take(self, data: bytes) -> None:
        if data:
            self._protocol.receive_data(data)
        else:
            self._protocol.receive_eof()
        for event in self._protocol.events_received():
            if isinstance(event, Frame):
                self._read(event)
            elif isinstance(event, Response) and isinstance(self._protocol.handshake_exc, InvalidHandshake):
                return
        self._queue()
        if not data:
            raise BrokerGone("the broker ended the connection")
        if self._protocol.state in (State.CLOSING, State.CLOSED):
            raise BrokerGone(f"the broker closed the connection {self._protocol.close_reason or ''}".rstrip())

    def _read(self, frame: Frame) -> None:
        if frame.opcode not in (Opcode.TEXT, Opcode.CONT):
            return  # The protocol itself answers pings, and sees the end.
        self._fragments.append(bytes(frame.data))
        if not frame.fin:
            return
        text, self._fragments = b"".join(self._fragments), []
        if items := _ITEMS.match(text):
            self._received.append(({"type": "data", "task_id": items[1].decode()}, text))
            return
        try:
            message = json.loads(text)
        except ValueError as error:
            raise BrokerGone(f"a frame that is not JSON: {error}") from error
        if not isinstance(message, dict):
            raise BrokerGone("a frame that is not an object")
        self._received.append((message, text))


def _connect(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    sock.settimeout(CONNECT_SECONDS_MAX)
    sock.connect(path)
    return sock
