"""The child's end of its socketpair: whole messages, one at a time, from whatever thread of the code."""

import json
import os
import socket
import threading
from typing import Any

from budflow.sandbox.worker.limits import FRAME_BYTES_MAX
from budflow.sandbox.worker.packets import ITEMS, PACKET_BYTES, TASK, Assembly, split


class SandboxGone(BaseException):
    """The worker does not listen any more. Not an Exception: no code should catch it and go on."""


class Channel:
    """Blocking, since the code waits for what it asks for."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._assembly = Assembly((TASK, ITEMS), FRAME_BYTES_MAX)
        self._lock = threading.RLock()
        self._owner = os.getpid()

    @property
    def lock(self) -> threading.RLock:
        """Held by who asks and waits for the answer."""
        return self._lock

    @property
    def owned(self) -> bool:
        """Whether this process is the one that was made for the task, and not one that the code forked."""
        return os.getpid() == self._owner

    def send(self, kind: bytes, body: bytes) -> None:
        """Send a message, waiting while the worker has too much of them."""
        try:
            if len(body) <= PACKET_BYTES:
                self._sock.send(kind + body)
                return
            with self._lock:
                for packet in split(kind, body):
                    self._sock.send(packet)
        except (BrokenPipeError, ConnectionResetError) as gone:
            raise SandboxGone from gone

    def send_json(self, kind: bytes, value: Any) -> None:
        """The same, of something that is known to be JSON."""
        self.send(kind, as_json(value))

    def receive(self, kind: bytes) -> Any:
        """Wait for the next message, which is of this kind."""
        while packet := self._sock.recv(PACKET_BYTES + 1):
            if message := self._assembly.add(packet):
                if message[0] != kind:
                    break
                return json.loads(message[1])
        raise SandboxGone


def as_json(value: Any) -> bytes:
    """The shortest that there is; halves of surrogate pairs, which no encoding can carry, become question marks."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
