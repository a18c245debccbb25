"""What a task leaves behind in the sandbox beside processes: files, and the kernel's shared memory and queues."""

import ctypes
import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

#: Every place in a sandbox that can be written to.
SCRATCH = ("/tmp", "/dev/shm", "/dev/mqueue")  # noqa: S108 -- the sandbox's own.

_IPC_RMID = 0
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def empty_scratch() -> None:
    """Remove all of it. Only for who is alone in a sandbox, when every other process has ended."""
    for directory in SCRATCH:
        with suppress(OSError):
            empty(directory)
    _remove_ipc()


def empty(directory: str) -> None:
    """Remove what is in a directory, however deep it goes and whatever its modes are, following no link.

    What is below a directory in it is moved up first: neither paths nor the stack grow with the depth.
    """
    numbers = itertools.count()
    with _opened(directory) as top:
        while names := os.listdir(top):  # noqa: PTH208 -- a path can be too long, a descriptor is never.
            for name in names:
                if not _unlinked(name, top):
                    _raise_content(name, top, numbers)
                    os.rmdir(name, dir_fd=top)


def _raise_content(name: str, top: int, numbers: Iterator[int]) -> None:
    os.chmod(name, 0o700, dir_fd=top)
    with _opened(name, top) as inner:
        for below in os.listdir(inner):  # noqa: PTH208 -- as above.
            if not _unlinked(below, inner):
                os.chmod(below, 0o700, dir_fd=inner)  # To move a directory it must be writable.
                os.rename(below, _free_name(top, numbers), src_dir_fd=inner, dst_dir_fd=top)


def _unlinked(name: str, directory: int) -> bool:
    """Whether it could be unlinked: false says that it is a directory."""
    try:
        os.unlink(name, dir_fd=directory)
    except IsADirectoryError:
        return False
    return True


def _free_name(top: int, numbers: Iterator[int]) -> str:
    for number in numbers:
        try:
            os.stat(f"{number}", dir_fd=top, follow_symlinks=False)
        except FileNotFoundError:
            return f"{number}"
    raise AssertionError  # Numbers do not end.


@contextmanager
def _opened(name: str, directory: int | None = None) -> Iterator[int]:
    descriptor = os.open(name, _DIRECTORY, dir_fd=directory)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _remove_ipc() -> None:
    """System V's shared memory, semaphores and queues outlive every process."""
    libc = ctypes.CDLL(None)
    for kind in ("shm", "sem", "msg"):
        with suppress(OSError):
            for line in Path("/proc/sysvipc", kind).read_text().splitlines()[1:]:
                number = int(line.split()[1])
                if kind == "sem":
                    libc.semctl(number, 0, _IPC_RMID)
                else:
                    libc[f"{kind}ctl"](number, _IPC_RMID, None)
