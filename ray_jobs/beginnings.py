"""How the task of a segment says that it has begun where its runner is on the same machine: by a datagram.

A call of the actor takes 2 to 3 ms of processors in all, about as much as all else that Ray does for a task. The name
of the socket is abstract (unix(7)): it leaves no file behind, and nobody has it beyond the machine.
"""

import asyncio
import secrets
import socket
from collections.abc import Callable
from functools import lru_cache

NUMBER_BYTES = 8


class Beginnings:
    """The end of the runner: calls `began` with the number of each segment that says so, on the running loop.

    By its `name` the segments find it. Where the system has no such sockets nobody is heard.
    """

    def __init__(self, began: Callable[[int], object]) -> None:
        self._began = began
        self.name = f"budflow-{secrets.token_hex(16)}"
        self._loop = asyncio.get_running_loop()
        self._socket = _open()
        try:
            self._socket.bind(_address(self.name))
        except OSError:
            self._socket.close()
        else:
            self._loop.add_reader(self._socket, self._take)

    def close(self) -> None:
        """Hear no more."""
        if self._socket.fileno() != -1:
            self._loop.remove_reader(self._socket)
            self._socket.close()

    def _take(self) -> None:
        while True:
            try:
                told = self._socket.recv(NUMBER_BYTES)
            except BlockingIOError:
                return
            self._began(int.from_bytes(told, "big"))


def say_begun(name: str, number: int) -> bool:
    """Whether the runner gets to know: not where it is on another machine, or has too many datagrams to read."""
    try:
        _sender().sendto(number.to_bytes(NUMBER_BYTES, "big"), _address(name))
    except OSError:
        return False
    return True


@lru_cache(maxsize=1)
def _sender() -> socket.socket:
    """One a process."""
    return _open()


def _open() -> socket.socket:
    opened = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    opened.setblocking(False)
    return opened


def _address(name: str) -> str:
    return f"\0{name}"
