"""Packets between the worker and the process of a task: each is a kind and a body, over a socketpair that keeps bounds.

`SOCK_SEQPACKET` keeps a packet whole, so that processes which the code forks can print without breaking another's
frame. A body that is larger than a packet comes in fragments, which only the process of the task itself sends.
"""

import socket
from collections.abc import Iterator
from typing import Final

PACKET_BYTES = 128 * 1024
FRAGMENT: Final = b"+"

# To the process of a task.
TASK: Final = b"T"
ITEMS: Final = b"I"
# From it. RESULT and LAST are a JSON list of items, FAILED one of troubles, DROPPED how many lines were not sent.
RESULT: Final = b"R"
LAST: Final = b"Z"
FAILED: Final = b"F"
TROUBLE: Final = b"E"
LOG: Final = b"L"
PROGRESS: Final = b"P"
NEED: Final = b"N"
DROPPED: Final = b"X"


class PacketsMalformed(Exception):
    """The other side does not send packets as agreed."""


def pair() -> tuple[socket.socket, socket.socket]:
    """Two sockets, each the other's other end."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def split(kind: bytes, body: bytes) -> Iterator[bytes]:
    """The packets of one body."""
    start = 0
    while len(body) - start > PACKET_BYTES:
        yield FRAGMENT + body[start : start + PACKET_BYTES]
        start += PACKET_BYTES
    yield kind + (body[start:] if start else body)


class Assembly:
    """Puts fragments together. No more than `bytes_max` are held, and only kinds of `large` may come in fragments."""

    def __init__(self, large: tuple[bytes, ...], bytes_max: int) -> None:
        self._large = large
        self._bytes_max = bytes_max
        self._fragments: list[bytes] = []
        self._size = 0

    def add(self, packet: bytes) -> tuple[bytes, bytes] | None:
        """The kind and body that this packet makes whole, if it does. Raises PacketsMalformed."""
        kind, body = packet[:1], packet[1:]
        if kind == FRAGMENT:
            self._size += len(body)
            if self._size > self._bytes_max:
                raise PacketsMalformed(f"more than {self._bytes_max} bytes in one message")
            self._fragments.append(body)
            return None
        if not self._fragments or kind not in self._large:
            return kind, body
        body = b"".join((*self._fragments, body))
        self._fragments, self._size = [], 0
        if len(body) > self._bytes_max:
            raise PacketsMalformed(f"more than {self._bytes_max} bytes in one message")
        return kind, body
