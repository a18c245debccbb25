"""The directories of sandboxd: its own, which only requesters may enter, and the one with a place for each worker."""

import fcntl
import grp
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from budflow.errors import BudflowError
from budflow.sandbox.daemon_settings import SOCKET_FILE, DaemonSettings

LOCK_FILE = "sandboxd.lock"
#: Points to the directory of the workers, so that the next start finds what a crash left.
WORKERS_LINK = "workers"
WORKERS_PREFIX = "budflow-sandbox-"
#: A Unix socket's path ends here (sun_path of unix(7), with its final zero).
SOCKET_PATH_MAX = 107


class SandboxdRunning(BudflowError):
    """Another sandboxd serves this directory."""

    code = "sandbox.daemon_running"
    http_status = 409
    hint = "Stop it first, or give this one a directory of its own."


class SandboxdMisplaced(BudflowError):
    """The directory of sandboxd cannot be used."""

    code = "sandbox.daemon_misplaced"
    http_status = 500
    hint = "Give it a directory of its own whose path is short, such as by `--directory`."


@contextmanager
def own_directory(settings: DaemonSettings) -> Iterator[int | None]:
    """Make and lock the daemon's directory; gives the id of the group that may enter. Raises what this module has."""
    directory = settings.directory
    if len(os.fsencode(directory / SOCKET_FILE)) > SOCKET_PATH_MAX:
        raise SandboxdMisplaced(f"The path of the socket would be longer than {SOCKET_PATH_MAX} bytes: {directory}.")
    try:
        group = grp.getgrnam(settings.group).gr_gid if settings.group is not None else None
    except KeyError as error:
        raise SandboxdMisplaced(f"There is no group {settings.group}.") from error
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    if directory.stat().st_uid != os.geteuid():
        raise SandboxdMisplaced(f"{directory} belongs to another user.")
    if group is not None:
        os.chown(directory, -1, group)
    directory.chmod(0o700 if group is None else 0o710)
    with (directory / LOCK_FILE).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise SandboxdRunning from error
        yield group


@contextmanager
def workers_directory(settings: DaemonSettings) -> Iterator[Path]:
    """An empty directory with a place for each worker: every user may pass through it, and nobody may list it."""
    link = settings.directory / WORKERS_LINK
    _remove_leftovers(link)
    if settings.workers_directory is None:
        directory = Path(tempfile.mkdtemp(prefix=WORKERS_PREFIX))
    else:
        settings.workers_directory.mkdir(parents=True, exist_ok=True)
        directory = Path(tempfile.mkdtemp(prefix=WORKERS_PREFIX, dir=settings.workers_directory))
    directory.chmod(0o711)
    try:
        if len(os.fsencode(directory)) + 40 > SOCKET_PATH_MAX:
            raise SandboxdMisplaced(f"The paths of workers' sockets would be too long: {directory}.")
        link.symlink_to(directory)
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        link.unlink(missing_ok=True)


def _remove_leftovers(link: Path) -> None:
    try:
        left = link.readlink()
    except OSError:
        return
    # Somebody else may have made one of this name among the temporary files since.
    ours = left.name.startswith(WORKERS_PREFIX) and not left.is_symlink() and left.is_dir()
    if ours and left.stat().st_uid == os.geteuid():
        shutil.rmtree(left, ignore_errors=True)
    link.unlink()
