"""The guarded way to files: only below the roots that the settings name, whatever a path or a symbolic link says.

A path is walked name by name from its root, each opened within the directory before it and never through a symbolic
link (openat(2) with O_NOFOLLOW), so that nobody can exchange a directory between a check and its use.
"""

import asyncio
import contextlib
import errno
import os
import secrets
import stat
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from budflow.errors import BudflowError
from budflow.model.files import FilesClosed

T = TypeVar("T")

READ_BYTES = 512 * 1024
FILE_BYTES_MAX = 64 * 1024 * 1024 * 1024
PATH_CHARACTERS_MAX = 4_096
NEW_FILE_MODE = 0o640

_SAFELY = os.O_NOFOLLOW | os.O_CLOEXEC
_LINK = (errno.ELOOP, errno.EMLINK)  # What O_NOFOLLOW says of a symbolic link, here and on BSD.


class FileRefused(BudflowError):
    """This path leads to nothing that a workflow may use."""

    code = "file.refused"
    http_status = 403
    hint = (
        "Use the path of a regular file below one of the directories in `file_roots`, without `..` or symbolic links."
    )


class FileMissing(BudflowError):
    """There is no such file or directory."""

    code = "file.not_found"
    http_status = 404
    hint = "Look at the path: it is absolute, or counts from the first directory in `file_roots`."


class FileTooLarge(BudflowError):
    """The file is larger than what is allowed."""

    code = "file.too_large"
    http_status = 413
    hint = f"A file may have {FILE_BYTES_MAX // 1024**3} GiB; split it."


class FileFailed(BudflowError):
    """The operating system refuses to read or write the file."""

    code = "file.failed"
    http_status = 500
    hint = "Look at its permissions, and at the room on the disk."


class RootedFiles:
    """Meets FilesCapability."""

    def __init__(self, roots: Sequence[Path]) -> None:
        self._roots = tuple(root.absolute() for root in roots)

    @asynccontextmanager
    async def read(self, path: str) -> AsyncIterator["OpenFile"]:
        """See FilesCapability."""
        file = await _in_thread(partial(self._open_to_read, path), OpenFile.close)
        try:
            yield file
        finally:
            file.close()

    @asynccontextmanager
    async def overwrite(self, path: str) -> AsyncIterator["OpenFile"]:
        """See FilesCapability."""
        new = await _in_thread(partial(self._open_aside, path), _Aside.close)
        try:
            yield new.file
            await _in_thread(new.keep)
        finally:
            new.close()

    @asynccontextmanager
    async def append(self, path: str) -> AsyncIterator["OpenFile"]:
        """See FilesCapability."""
        file = await _in_thread(partial(self._open_to_append, path), OpenFile.close)
        try:
            yield file
            await _in_thread(file.sync)
        finally:
            file.close()

    def _open_to_read(self, path: str) -> "OpenFile":
        with self._folder(path) as (folder, name), _told(path):
            descriptor = _open_regular(path, folder, name, os.O_RDONLY)
            return _opened(path, descriptor)

    def _open_to_append(self, path: str) -> "OpenFile":
        with self._folder(path) as (folder, name), _told(path):
            flags = os.O_WRONLY | os.O_APPEND
            try:
                descriptor = _open_regular(path, folder, name, flags)
            except FileNotFoundError:
                descriptor = os.open(name, flags | os.O_CREAT | os.O_EXCL | _SAFELY, NEW_FILE_MODE, dir_fd=folder)
                os.fsync(folder)
            return _opened(path, descriptor)

    def _open_aside(self, path: str) -> "_Aside":
        with self._folder(path) as (folder, name), _told(path):
            mode = NEW_FILE_MODE
            with contextlib.suppress(FileNotFoundError):
                found = os.stat(name, dir_fd=folder, follow_symlinks=False)
                if not stat.S_ISREG(found.st_mode):
                    raise FileRefused(f"{path} is no regular file.", path=path)
                mode = stat.S_IMODE(found.st_mode)
            aside = f".{name[:200]}.{secrets.token_hex(8)}"
            descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFELY, mode, dir_fd=folder)
            return _Aside(OpenFile(path, descriptor, 0), os.dup(folder), aside, name)

    @contextmanager
    def _folder(self, path: str) -> Iterator[tuple[int, str]]:
        """The directory that a file is in, opened, and the file's name there."""
        root, names = self._split(path)
        with _told(path):
            # The root itself is the administrator's word, links and all.
            folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for name in names[:-1]:
                with _told(path):
                    inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | _SAFELY, dir_fd=folder)
                os.close(folder)
                folder = inner
            yield folder, names[-1]
        finally:
            os.close(folder)

    def _split(self, path: str) -> tuple[Path, list[str]]:
        if not self._roots:
            raise FilesClosed
        shown = path[:200]
        if not path or len(path) > PATH_CHARACTERS_MAX or "\x00" in path or not path.isprintable():
            raise FileRefused(f"{shown!r} is no path.", path=shown)
        root, rest = self._roots[0], path
        if path.startswith("/"):
            found = [one for one in self._roots if f"{path}/".startswith(f"{str(one).rstrip('/')}/")]
            if not found:
                raise FileRefused(f"{shown} is below none of the allowed directories.", path=shown)
            root = max(found, key=lambda one: len(one.parts))
            rest = path[len(str(root)) :]
        names = [name for name in rest.split("/") if name not in ("", ".")]
        if not names or ".." in names or rest.endswith("/"):
            raise FileRefused(f"{shown} is not the path of a file.", path=shown)
        return root, names


@dataclass(slots=True)
class OpenFile:
    """Meets FileReader and FileWriter."""

    path: str
    descriptor: int
    size: int

    async def read(self) -> bytes:
        """See FileReader."""
        return await _in_thread(self._read)

    async def write(self, data: bytes) -> None:
        """See FileWriter."""
        self.size += len(data)
        _check_size(self.path, self.size)
        await _in_thread(partial(self._write, data))

    def close(self) -> None:
        """Let go of it."""
        os.close(self.descriptor)

    def sync(self) -> None:
        """Make what was written durable."""
        with _told(self.path):
            os.fsync(self.descriptor)

    def _read(self) -> bytes:
        with _told(self.path):
            return os.read(self.descriptor, READ_BYTES)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        with _told(self.path):
            while view:
                view = view[os.write(self.descriptor, view) :]


@dataclass(slots=True)
class _Aside:
    """A new file beside the one that it is to replace."""

    file: OpenFile
    folder: int
    aside: str
    name: str
    kept: bool = False

    def keep(self) -> None:
        """Take the place of the old file."""
        self.file.sync()
        with _told(self.file.path):
            os.rename(self.aside, self.name, src_dir_fd=self.folder, dst_dir_fd=self.folder)
            self.kept = True
            os.fsync(self.folder)

    def close(self) -> None:
        """Leave nothing behind where it was not kept."""
        self.file.close()
        if not self.kept:
            with contextlib.suppress(OSError):
                os.unlink(self.aside, dir_fd=self.folder)
        os.close(self.folder)


async def _in_thread(work: Callable[[], T], undo: Callable[[T], object] = lambda _: None) -> T:
    """What blocks, in a thread. When this is cancelled the thread still comes to its end first: it uses a descriptor
    that would otherwise be closed, and perhaps another file's, under its hands.
    """
    task = asyncio.ensure_future(asyncio.to_thread(work))
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        if task.exception() is None:
            undo(task.result())
        raise cancelled
    return task.result()


def _open_regular(path: str, folder: int, name: str, flags: int) -> int:
    """Open what is a regular file, before and after: to open a device can have effects of its own."""
    if not stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
        raise FileRefused(f"{path} is no regular file.", path=path)
    descriptor = os.open(name, flags | os.O_NONBLOCK | _SAFELY, dir_fd=folder)  # A pipe would keep us waiting.
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileRefused(f"{path} is no regular file.", path=path)
    return descriptor


def _opened(path: str, descriptor: int) -> OpenFile:
    size = os.fstat(descriptor).st_size
    try:
        _check_size(path, size)
    except FileTooLarge:
        os.close(descriptor)
        raise
    return OpenFile(path, descriptor, size)


def _check_size(path: str, size: int) -> None:
    if size > FILE_BYTES_MAX:
        raise FileTooLarge(f"{path} is larger than {FILE_BYTES_MAX} bytes.", path=path)


@contextmanager
def _told(path: str) -> Iterator[None]:
    """What the operating system says, as an error of ours."""
    try:
        yield
    except FileNotFoundError as error:
        raise FileMissing(f"There is no {path}.", path=path) from error
    except (NotADirectoryError, IsADirectoryError) as error:
        raise FileRefused(
            f"{path} is no regular file, or leads through something that is no directory.", path=path
        ) from error
    except OSError as error:
        if error.errno in _LINK:
            raise FileRefused(f"{path} leads through a symbolic link.", path=path) from error
        raise FileFailed(f"{path}: {error.strerror}.", path=path) from error
