"""The nursery: a small process, forked before the worker knows anything, that forks one child for each task.

A child has a copy of what its parent has in memory. So the worker itself, which holds a ticket and data of earlier
tasks, forks none; the nursery sees neither. It is the parent of all that the code starts and lets go, and ends it.

The worker says FORK, with the child's end of a socketpair, and after the task CLEAN; it answers ENDED and CLEANED.
"""

import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
from contextlib import suppress
from typing import Any, Final, NoReturn

from budflow.sandbox.worker import child, forwarder
from budflow.sandbox.worker.processes import (
    adopt_orphans,
    die_with_parent,
    is_alone_below_init,
    kill_descendants,
    set_dumpable,
    wipe_from_environment,
)
from budflow.sandbox.worker.scratch import empty_scratch

FORK: Final = b"F"
CLEAN: Final = b"C"
ENDED: Final = b"E"
CLEANED: Final = b"D"
#: The status that ENDED has when no process could be started.
NOT_STARTED: Final = -1000

#: Modules that code often imports; a child has them at once. Each costs every fork a little, so no large ones.
_PRELOADED = [
    "base64",
    "bisect",
    "calendar",
    "collections",
    "copy",
    "csv",
    "dataclasses",
    "datetime",
    "decimal",
    "enum",
    "fractions",
    "functools",
    "hashlib",
    "heapq",
    "hmac",
    "html",
    "io",
    "itertools",
    "json",
    "linecache",
    "math",
    "operator",
    "os",
    "random",
    "re",
    "secrets",
    "statistics",
    "string",
    "textwrap",
    "time",
    "traceback",
    "typing",
    "unicodedata",
    "urllib.parse",
    "uuid",
    "zoneinfo",
]
_ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": "/tmp",  # noqa: S108 -- the sandbox's own, and all there is to write to.
    "TMPDIR": "/tmp",  # noqa: S108 -- as above.
    "LANG": "C.UTF-8",
    "TZ": "UTC",
    "PYTHONDONTWRITEBYTECODE": "1",
}
#: Without it a Python that has its library elsewhere could not be started by the code.
_KEPT = ("LD_LIBRARY_PATH",)


class Nursery:
    """The nursery's own loop."""

    def __init__(
        self, sock: socket.socket, proxy: forwarder.Listening | None, *, alone: bool, below_init: bool, adopts: bool
    ) -> None:
        self._sock = sock
        self._proxy = proxy
        self._alone = alone
        self._below_init = below_init
        self._adopts = adopts
        self._child = 0

    def run(self) -> NoReturn:
        """Serve until the worker is gone; then every process of the code goes too."""
        try:
            awake, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
            signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
            signal.signal(signal.SIGCHLD, lambda *_: None)
            while True:
                commands = self._sock.fileno()
                ready, _, _ = select.select([commands, awake], [], [])
                if awake in ready:
                    with suppress(BlockingIOError):
                        os.read(awake, 4096)
                    self._reap()
                if commands in ready and not self._obey():
                    break
        finally:
            self._kill_all()
            os._exit(0)

    def _obey(self) -> bool:
        message, descriptors, _, _ = socket.recv_fds(self._sock, 4096, 1)
        if not message:
            return False
        if message[:1] == FORK:
            self._fork(socket.socket(fileno=descriptors[0]), json.loads(message[1:]))
        else:
            self._kill_all()
            if self._alone:
                empty_scratch()
            self._child = 0
            self._sock.send(CLEANED)
        return True

    def _fork(self, sock: socket.socket, order: dict[str, Any]) -> None:
        try:
            if self._proxy is not None:
                self._proxy.fork()
            pid = os.fork()
        except OSError:
            self._tell_end(NOT_STARTED)
            return
        if pid == 0:
            child.run(sock, order["memory_mb"])
        self._child = pid
        sock.close()

    def _reap(self) -> None:
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                if pid == self._child:
                    self._tell_end(os.waitstatus_to_exitcode(status))

    def _tell_end(self, status: int) -> None:
        self._sock.send(ENDED + str(status).encode())

    def _kill_all(self) -> None:
        """Kill and reap until there is none. Where orphans become children of the nursery, having none is proof."""
        while True:
            if self._below_init and os.getppid() == 1:
                with suppress(ProcessLookupError):
                    os.kill(-1, signal.SIGKILL)  # At once, of the PID namespace, but for PID 1 and this one.
            else:
                kill_descendants(os.getpid())
            try:
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:
                if self._adopts or is_alone_below_init():
                    return
            select.select([], [], [], 0.0005)


def start(*, alone: bool, egress: str | None, proxy_port: int, secret: str) -> tuple[int, socket.socket]:
    """Fork the nursery: its process id, and the socket to it. It forgets the environment's variable `secret`.

    The calling process has no other thread, as yet.
    """
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    below_init = os.getpid() == 1
    pid = os.fork()
    if pid:
        its.close()
        return pid, ours
    try:
        ours.close()
        wipe_from_environment(secret)
        adopts = adopt_orphans()
        if not (adopts or below_init):
            raise OSError(
                "The kernel does not give orphans to who asks for them, and this is no PID namespace of its own."
            )
        proxy = _settle(egress, proxy_port)
        Nursery(its, proxy, alone=alone, below_init=below_init, adopts=adopts).run()
    finally:
        os._exit(1)


def _settle(egress: str | None, proxy_port: int) -> forwarder.Listening | None:
    """Once, what every child would have to do: an environment of its own, modules, and as little memory as can be."""
    die_with_parent()
    set_dumpable(False)
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    os.environ.clear()
    os.environ.update({**_ENVIRONMENT, **kept})
    proxy = forwarder.listen(egress, proxy_port) if egress else None
    if proxy is not None:
        os.environ.update(proxy.environment)
    os.chdir("/tmp")  # noqa: S108 -- as above.
    os.umask(0o077)
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1):
        os.dup2(nothing, standard)
    os.close(nothing)
    sys.argv = ["code"]
    for name in _PRELOADED:
        importlib.import_module(name)
    gc.collect()
    gc.disable()
    gc.freeze()  # Collections in a child would write to, and so copy, every page.
    return proxy
