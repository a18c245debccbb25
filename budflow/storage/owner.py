"""One owner a data directory: the lock, what its holder announces in it, and the key that only the owner may read."""

import contextlib
import errno
import fcntl
import os
import secrets
import stat
import time
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import orjson

from budflow.errors import BudflowError
from budflow.model.identity import utc_now

LOCK_FILE = "owner.lock"
KEY_FILE = "owner.key"
KEY_BYTES = 32
RECORD_BYTES = 4096
_PATIENCE_SECONDS = 0.25  # Longer than a reader of the lock holds it; see `read_owner`.

Kind = Literal["serve", "mcp"]


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that owns a data directory; `address` and `socket` are None until it serves them."""

    pid: int
    kind: Kind
    started_at: datetime
    address: str | None = None
    socket: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The shape in the lock file and in the details of DirectoryOwned."""
        return {
            "pid": self.pid,
            "kind": self.kind,
            "address": self.address,
            "socket": self.socket,
            "started_at": self.started_at.isoformat(),
        }


class DirectoryOwned(BudflowError):
    """Another process owns the data directory."""

    code = "owner.exists"
    http_status = 409
    hint = "Use that process, stop it, or set BUDFLOW_DATA_DIR to another directory."


class DataDirRefused(BudflowError):
    """The data directory cannot be used."""

    code = "owner.data_dir_refused"
    http_status = 500
    hint = "Set BUDFLOW_DATA_DIR to a directory that you may write, with free space."


class OwnerKeyExposed(BudflowError):
    """Others may read the owner key."""

    code = "owner.key_exposed"
    http_status = 500
    hint = "Delete the file owner.key, so that a new key is made; or `chmod 600` it if nobody can have read it."


class OwnerKeyUnusable(BudflowError):
    """The file owner.key holds no key."""

    code = "owner.key_unusable"
    http_status = 500
    hint = "Delete the file, so that a new key is made."


class OwnerLock:
    """The right to a data directory. It ends with `close` or with the process, however that dies."""

    def __init__(self, descriptor: int, owner: Owner) -> None:
        """Use `OwnerLock.acquire`; `descriptor` holds the lock."""
        self._descriptor = descriptor
        self.owner = owner
        self._write()

    @classmethod
    def acquire(cls, data_dir: Path, kind: Kind) -> "OwnerLock":
        """Own `data_dir`, which is made where it is missing. Raises DirectoryOwned, DataDirRefused."""
        directory = prepare_data_dir(data_dir)
        try:
            descriptor = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _refused(data_dir, error) from error
        try:
            if _lock(descriptor):
                return cls(descriptor, Owner(os.getpid(), kind, utc_now()))
            other = _read(descriptor)
        except BaseException as error:
            os.close(descriptor)
            if isinstance(error, OSError):
                raise _refused(data_dir, error) from error
            raise
        os.close(descriptor)
        raise _owned(data_dir, other)

    def announce(self, *, address: str | None = None, socket: str | None = None) -> None:
        """Tell where the owner can be reached; None keeps what was told before."""
        self.owner = replace(self.owner, address=address or self.owner.address, socket=socket or self.owner.socket)
        self._write()

    def close(self) -> None:
        """Give the directory up."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            with contextlib.suppress(OSError):  # A stale record is ignored; the lock is what counts.
                os.ftruncate(descriptor, 0)
            os.close(descriptor)

    def __enter__(self) -> "OwnerLock":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _write(self) -> None:
        # One write of a constant length, in place: a new file would be another lock, and a reader never sees a half.
        record = orjson.dumps(self.owner.to_json()).ljust(RECORD_BYTES)
        if len(record) > RECORD_BYTES:
            raise DataDirRefused("The address or the path of the socket is too long to announce.")
        os.pwrite(self._descriptor, record, 0)


def prepare_data_dir(data_dir: Path) -> Path:
    """Make the directory, for its owner alone, where it is missing. Raises DataDirRefused."""
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _refused(data_dir, error) from error
    if not os.access(data_dir, os.R_OK | os.W_OK | os.X_OK):
        raise DataDirRefused(f"The data directory {data_dir} may not be written by this user.", path=str(data_dir))
    return data_dir


def read_owner(data_dir: Path) -> Owner | None:
    """The living owner; None when nobody holds the lock, whatever a dead one left in the file."""
    try:
        descriptor = os.open(data_dir / LOCK_FILE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not _try_lock(descriptor, fcntl.LOCK_SH):
            owner = _read(descriptor)
            if owner is not None or time.monotonic() > deadline:
                return owner
            time.sleep(0.005)  # It has the lock and is about to write who it is.
        return None
    finally:
        os.close(descriptor)


def owner_key(data_dir: Path) -> str:
    """The owner's key, made at the first call. Raises OwnerKeyExposed, OwnerKeyUnusable, DataDirRefused."""
    path = prepare_data_dir(data_dir) / KEY_FILE
    try:
        if not path.exists():
            _make_key(path)
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
            content = file.read(RECORD_BYTES)
    except OSError as error:
        raise _refused(data_dir, error) from error
    if mode & 0o077:
        raise OwnerKeyExposed(f"{path} has mode {mode:o}: others may read it.", path=str(path))
    key = content.decode("ascii", "replace").strip()
    if not key.startswith("bf_") or not key.isascii():
        raise OwnerKeyUnusable(f"{path} holds no key.", path=str(path))
    return key


def _make_key(path: Path) -> None:
    # Written beside and linked: a second process that starts now sees a whole key or none, and the first one wins.
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(f"bf_{secrets.token_urlsafe(KEY_BYTES)}\n".encode())
            file.flush()
            os.fsync(descriptor)
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()


def _lock(descriptor: int) -> bool:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not _try_lock(descriptor, fcntl.LOCK_EX):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)  # A reader may be looking whether the lock is held.
    return True


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(descriptor: int) -> Owner | None:
    try:
        shape = orjson.loads(os.pread(descriptor, RECORD_BYTES, 0))
        return Owner(**{**shape, "started_at": datetime.fromisoformat(shape["started_at"])})
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return None


def _owned(data_dir: Path, owner: Owner | None) -> DirectoryOwned:
    if owner is None:
        return DirectoryOwned(f"Another process owns {data_dir} and has not said yet who it is.")
    where = f" at {owner.address}" if owner.address else ""
    return DirectoryOwned(
        f"`budflow {owner.kind}` with the pid {owner.pid}{where} owns {data_dir} already.",
        pid=owner.pid,
        kind=owner.kind,
        address=owner.address,
        socket=owner.socket,
    )


def _refused(data_dir: Path, error: OSError) -> DataDirRefused:
    reason = "it is a file" if error.errno in (errno.EEXIST, errno.ENOTDIR) else (error.strerror or "unknown")
    return DataDirRefused(f"The data directory {data_dir} cannot be used: {reason}.", path=str(data_dir), reason=reason)
