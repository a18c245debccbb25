"""Blobs in a directory: one file each, `PROJECT/ab/abcdef…`, under the SHA-256 of its bytes.

A file is written aside, made durable and then renamed, so that under a hash there is the whole or nothing. All
processes of a server share the directory; what they may not do at the same time they do under the lock of a file.
"""

import contextlib
import fcntl
import hashlib
import mmap
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO
from urllib.parse import quote, unquote

from budflow.execution.blobs import BlobMissing, BlobUnreadable, BlobUnwritable
from budflow.model.blobs import Buffer
from budflow.model.item import BlobRef

_UNFINISHED = "unfinished"
_LOCK = "lock"


class DirectoryBlobs:
    """Meets BlobStore and BlobFiles."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @property
    def place(self) -> str:
        """See BlobFiles."""
        return str(self.directory)

    def check(self, *, writing: bool = False) -> None:
        """See BlobFiles. A directory that is not there yet can be made if the one above it may be written."""
        directory = self.directory.absolute()
        there = next(path for path in (directory, *directory.parents) if path.exists())
        if not there.is_dir() or not os.access(there, os.R_OK | os.W_OK | os.X_OK):
            raise BlobUnwritable(f"Blobs cannot be written: {there} is no directory that may be written.")
        if writing:
            try:
                with TemporaryFile(dir=there, buffering=0) as file:
                    file.write(b"probe")
            except OSError as error:
                raise _unwritable(error) from error

    def open_writer(self, project_id: str) -> "FileWriter":
        """See BlobStore."""
        return FileWriter(self, project_id)

    def read(self, project_id: str, sha256: str, start: int, size: int) -> bytes:
        """See BlobStore."""
        try:
            with self.path(project_id, sha256).open("rb", buffering=0) as file:
                return os.pread(file.fileno(), size, start)
        except FileNotFoundError as error:
            raise BlobMissing(f"There is no blob {sha256}.", sha256=sha256) from error
        except OSError as error:
            raise BlobUnreadable(f"The blob {sha256} cannot be read: {error.strerror}.", sha256=sha256) from error

    def view(self, project_id: str, sha256: str) -> memoryview:
        """See BlobStore. It stays readable for as long as it is used, also when the blob is removed meanwhile."""
        try:
            with self.path(project_id, sha256).open("rb", buffering=0) as file:
                size = os.fstat(file.fileno()).st_size
                return memoryview(mmap.mmap(file.fileno(), size, prot=mmap.PROT_READ) if size else b"")
        except FileNotFoundError as error:
            raise BlobMissing(f"There is no blob {sha256}.", sha256=sha256) from error
        except OSError as error:
            raise BlobUnreadable(f"The blob {sha256} cannot be read: {error.strerror}.", sha256=sha256) from error

    def scratch(self) -> BinaryIO:
        """See BlobStore."""
        try:
            return TemporaryFile(dir=self.unfinished().parent, buffering=0)
        except OSError as error:
            raise _unwritable(error) from error

    def collect(self, project_id: str, sha256: str, *, older_than: float) -> bool:
        """Remove a blob that nobody refers to, unless it was written or found again since (seconds since 1970)."""
        path = self.path(project_id, sha256)
        with self._locked():
            try:
                if path.stat().st_mtime >= older_than:
                    return False
                path.unlink()
            except FileNotFoundError:
                return False
        return True

    def old_blobs(self, *, older_than: float) -> Iterator[tuple[str, str]]:
        """Project and hash of every blob that was last written, or found again, before that."""
        for project in self._projects():
            for path in project.glob("??/*"):
                with contextlib.suppress(FileNotFoundError):
                    if path.stat().st_mtime < older_than:
                        yield unquote(project.name), path.name

    def remove_unfinished(self, *, older_than: float) -> int:
        """Remove what writers that died left behind; how many files."""
        removed = 0
        for path in (self.directory / _UNFINISHED).glob("*"):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < older_than:
                    path.unlink()
                    removed += 1
        return removed

    def path(self, project_id: str, sha256: str) -> Path:
        """Where a blob stands."""
        project = quote(project_id, safe="").replace(".", "%2E")  # No name that leads elsewhere.
        return self.directory / "projects" / project / sha256[:2] / sha256

    def unfinished(self) -> Path:
        """A path for a new file, on the same disk as the blobs."""
        folder = self.directory / _UNFINISHED
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder / secrets.token_hex(16)

    def keep(self, unfinished: Path, project_id: str, sha256: str) -> None:
        """Give a finished file, which is durable, its name.

        It takes the place of one that is there already, whose bytes a disk may have changed since. Who reads that one
        goes on with it, and nobody refers to a file in any other way than by this name.
        """
        path = self.path(project_id, sha256)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._locked():
            os.utime(unfinished)  # So that nobody collects it before it is referred to, however long writing took.
            unfinished.replace(path)
        for folder in path.parents[:4]:  # Up to the directory itself: any of them may be new.
            _sync_directory(folder)

    def _projects(self) -> Iterator[Path]:
        with contextlib.suppress(FileNotFoundError):
            yield from (self.directory / "projects").iterdir()

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Nobody else, also in other processes, keeps or collects a blob."""
        lock = os.open(self.directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


class FileWriter:
    """Meets BlobWriter."""

    def __init__(self, blobs: DirectoryBlobs, project_id: str) -> None:
        self._blobs, self._project_id = blobs, project_id
        self._hash = hashlib.sha256()
        self._size = 0
        try:
            self._path: Path | None = blobs.unfinished()
            self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _unwritable(error) from error

    def write(self, data: Buffer) -> None:
        """See BlobWriter."""
        self._hash.update(data)
        self._size += len(data)
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._file, view) :]
        except OSError as error:
            raise _unwritable(error) from error

    def finish(self) -> BlobRef:
        """See BlobWriter."""
        if self._path is None:
            raise BlobUnwritable("This blob is finished.")
        sha256 = self._hash.hexdigest()
        try:
            os.fsync(self._file)
            self._blobs.keep(self._path, self._project_id, sha256)
        except OSError as error:
            raise _unwritable(error) from error
        os.close(self._file)
        self._path = None
        return BlobRef(sha256, self._size)

    def abandon(self) -> None:
        """See BlobWriter."""
        if self._path is not None:
            os.close(self._file)
            self._path.unlink(missing_ok=True)
            self._path = None


def _sync_directory(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _unwritable(error: OSError) -> BlobUnwritable:
    return BlobUnwritable(f"A blob cannot be written: {error.strerror}.")
