"""The forwarder: carries connections to 127.0.0.1 inside of the sandbox to the egress proxy's socket outside.

The sandbox has a network with nothing in it, and a proxy is what programs know to be told of. It decides nothing: which
hosts may be reached the egress proxy decides, outside.
"""

import os
import selectors
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn

from budflow.sandbox.worker.processes import keep_only

PROXY_PORT = 8118
_CONNECTIONS_MAX = 100
_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Listening:
    """A port that is open before there is a process which serves it, so that code never comes too early."""

    listener: socket.socket
    egress: str

    @property
    def environment(self) -> Mapping[str, str]:
        """What tells programs of the proxy."""
        url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        names = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
        return {**dict.fromkeys(names, url), "NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}

    def fork(self) -> None:
        """Start the process that serves one task, and ends with its other processes. Raises OSError."""
        if os.fork() == 0:
            try:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _serve(keep_only(self.listener), self.egress)  # Who holds the nursery's socket hides its end.
            finally:
                os._exit(1)


def listen(egress: str, port: int) -> Listening | None:
    """Open the port; None if this sandbox has not even loopback."""
    try:
        listener = socket.create_server(("127.0.0.1", port), backlog=_CONNECTIONS_MAX)
    except OSError as error:
        sys.stderr.write(f"budflow worker: no way to the egress proxy: {error}\n")
        return None
    listener.setblocking(False)
    return Listening(listener, egress)


class _End:
    """One of the two sockets of a connection, and what waits to be sent to it."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.other: _End = self
        self.waiting = b""
        self.ended = False  # Nothing more comes from it.

    def events(self) -> int:
        """What to wait for: to read, while the other has sent on what there was."""
        reading = selectors.EVENT_READ if not self.ended and not self.other.waiting else 0
        return reading | (selectors.EVENT_WRITE if self.waiting else 0)


def _serve(listener: socket.socket, egress: str) -> NoReturn:
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ, None)
    while True:
        for key, events in selector.select():
            if key.data is None:
                _accept(selector, listener, egress)
            elif key.data.sock.fileno() >= 0:  # It may have been closed by what came before in this turn.
                _carry(selector, key.data, events)


def _accept(selector: selectors.BaseSelector, listener: socket.socket, egress: str) -> None:
    try:
        inside, _ = listener.accept()
    except OSError:
        return
    outside = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if len(selector.get_map()) > 2 * _CONNECTIONS_MAX:
            raise ConnectionRefusedError
        outside.connect(egress)
    except OSError:
        inside.close()
        outside.close()
        return
    here, there = _End(inside), _End(outside)
    here.other, there.other = there, here
    for end in (here, there):
        end.sock.setblocking(False)
        selector.register(end.sock, selectors.EVENT_READ, end)


def _carry(selector: selectors.BaseSelector, end: _End, events: int) -> None:
    try:
        if events & selectors.EVENT_WRITE:
            end.waiting = end.waiting[end.sock.send(end.waiting) :]
        if events & selectors.EVENT_READ and not end.ended and not end.other.waiting:
            data = end.sock.recv(_BYTES)
            end.ended = not data
            end.other.waiting = data
        for each in (end, end.other):
            if each.other.ended and not each.waiting:
                with suppress(OSError):
                    each.sock.shutdown(socket.SHUT_WR)
        if end.ended and end.other.ended and not end.waiting and not end.other.waiting:
            raise ConnectionResetError
        for each in (end, end.other):
            _watch(selector, each)
    except BlockingIOError:
        return
    except OSError:
        for each in (end, end.other):
            with suppress(KeyError, ValueError):
                selector.unregister(each.sock)
            each.sock.close()


def _watch(selector: selectors.BaseSelector, end: _End) -> None:
    """A selector takes no socket without events, so one is taken out while there are none."""
    known = end.sock in selector.get_map()
    events = end.events()
    if not events:
        if known:
            selector.unregister(end.sock)
    elif known:
        selector.modify(end.sock, events, end)
    else:
        selector.register(end.sock, events, end)
