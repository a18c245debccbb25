"""Processes of the machine the worker is in: what the kernel is told of them, who descends from whom, and their end."""

import ctypes
import errno
import os
import signal
import socket
from contextlib import suppress
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38

_FIRST = 3  # After the standard files.

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.getenv.restype = ctypes.c_void_p
_LIBC.getenv.argtypes = [ctypes.c_char_p]


def set_dumpable(dumpable: bool) -> None:
    """Not dumpable, no other process of the same user can read its memory, its files or its environment."""
    _prctl(_PR_SET_DUMPABLE, int(dumpable))


def forbid_new_privileges() -> None:
    """Neither it nor what it starts can gain any by a setuid program."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def be_killed_first() -> None:
    """When memory is short the kernel ends this process and those it starts, before any other of the sandbox."""
    with suppress(OSError):
        descriptor = os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)  # Every task waits for this.
        try:
            os.write(descriptor, b"1000")
        finally:
            os.close(descriptor)


def keep_only(sock: socket.socket) -> socket.socket:
    """Close every file but the standard ones and this socket, which is then the one after them."""
    descriptor = sock.detach()
    if descriptor != _FIRST:
        os.dup2(descriptor, _FIRST, inheritable=False)
    os.closerange(_FIRST + 1, os.sysconf("SC_OPEN_MAX"))
    return socket.socket(fileno=_FIRST)


def adopt_orphans() -> bool:
    """Processes below it whose parent ended become its children, instead of those of PID 1. False: they do not.

    So it is under gVisor.
    """
    try:
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return False
    return True


def is_alone_below_init() -> bool:
    """Whether no process lives in the PID namespace but PID 1 and this one; what only waits to be reaped does not."""
    ours = {1, os.getpid()}
    return all(
        _state(int(entry)) in (None, "Z", "X")
        for entry in os.listdir("/proc")  # noqa: PTH208 -- as below.
        if entry.isdigit() and int(entry) not in ours
    )


def die_with_parent() -> None:
    """The kernel kills it when its parent ends."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def wipe_from_environment(name: str) -> None:
    """Forget a variable so that this process's memory does not have it: neither the block nor Python's copy."""
    value = os.environb.get(name.encode())
    if value is not None:
        address = _LIBC.getenv(name.encode())
        if address:
            ctypes.memset(address, ord("x"), len(value))
        ctypes.memset(id(value) + bytes.__basicsize__ - 1, ord("x"), len(value))
        os.environb.pop(name.encode())


def descendants(root: int) -> list[int]:
    """Every process below this one, as the process table has it at the moment."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):  # noqa: PTH208 -- names are all that is needed, and it is in the way of a task.
        if entry.isdigit():
            with suppress(OSError, ValueError, IndexError):
                stat = Path("/proc", entry, "stat").read_bytes()
                parent = int(stat.rpartition(b")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry))
    found: list[int] = []
    waiting = [root]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def kill_descendants(root: int) -> None:
    """Kill every process below this one that there is at the moment, and no other.

    By file descriptors of processes, looked at again once they are held: a number that was given to another process
    meanwhile is not killed.
    """
    held: dict[int, int] = {}
    try:
        for pid in descendants(root):
            with suppress(OSError):
                held[pid] = os.pidfd_open(pid)
        still = set(descendants(root))
        for pid, descriptor in held.items():
            if pid in still:
                with suppress(OSError):
                    signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    finally:
        for descriptor in held.values():
            os.close(descriptor)


def oom_kills() -> int | None:
    """How often the kernel killed in this control group for want of memory; None where it does not tell."""
    for path, key in (("memory.events", b"oom_kill"), ("memory/memory.oom_control", b"oom_kill")):
        with suppress(OSError, ValueError):
            for line in Path("/sys/fs/cgroup", path).read_bytes().splitlines():
                name, _, count = line.partition(b" ")
                if name == key:
                    return int(count)
    return None


def _state(pid: int) -> str | None:
    try:
        return Path("/proc", str(pid), "stat").read_bytes().rpartition(b")")[2].split()[0].decode()
    except (OSError, IndexError):
        return None  # It is gone.


def _prctl(option: int, argument: int) -> None:
    if _LIBC.prctl(option, argument, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option}")
