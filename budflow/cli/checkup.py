"""What `budflow doctor` looks at: each check gives one finding, and none changes anything that was there."""

import asyncio
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import socket
import stat
import sys
from collections.abc import Callable
from pathlib import Path

from budflow.cli.check_sandbox import check_sandbox
from budflow.cli.finding import Finding, Level
from budflow.credentials.key_file import KEYS_FILE
from budflow.credentials.key_ring import open_key_ring
from budflow.errors import BudflowError
from budflow.server.sockets import SOCKET_NAME, SOCKET_PATH_BYTES_MAX, listen_tcp, refuse_exposed
from budflow.settings import Settings
from budflow.storage.blobs.open import open_blobs, require_shared_blobs
from budflow.storage.owner import KEY_FILE, read_owner
from budflow.storage.probe import probe_postgres, probe_sqlite

PYTHON_MIN = (3, 11)
SQLITE_MIN = (3, 37)
DISK_FREE_BYTES_MIN = 1024**3
SHM_BYTES_MIN = 512 * 1024**2
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where Ray keeps its objects; only its size is read
CONNECT_SECONDS = 2.0
NETWORK_FILE_SYSTEMS = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs"})
#: Variables with our prefix that are no settings.
OTHER_VARIABLES = frozenset({"BUDFLOW_URL", "BUDFLOW_KEY"})
SECRET_PREFIX = "BUDFLOW_SECRET_"  # noqa: S105 - the beginning of a variable's name, not a secret


def checkup(settings: Settings) -> list[Finding]:
    """Every check, in the order in which one would mend things."""
    checks: list[Callable[[Settings], Finding]] = [
        _python,
        _variables,
        _data_dir,
        _disk,
        _key,
        _encryption_keys,
        _socket,
        _database,
        _blobs,
        _owner,
        _port,
        _ray,
        check_sandbox,
    ]
    findings = [check(settings) for check in checks]
    if settings.executor == "ray":
        findings += [_ray_ports(settings), _shared_memory(settings)]
    return findings


def _python(_settings: Settings) -> Finding:
    version = platform.python_version()
    if sys.version_info < PYTHON_MIN:
        return Finding("python", "fail", version, "Install Python 3.11 or newer.")
    return Finding("python", "ok", f"{version} at {sys.executable}")


def _variables(_settings: Settings) -> Finding:
    known = {f"BUDFLOW_{name.upper()}" for name in Settings.model_fields} | OTHER_VARIABLES
    unknown = sorted(
        name
        for name in os.environ
        if name.startswith("BUDFLOW_") and not name.startswith(SECRET_PREFIX) and name not in known
    )
    if unknown:
        return Finding("settings", "warn", f"Nobody reads {', '.join(unknown)}.", "Correct the name, or take it out.")
    return Finding("settings", "ok", "Every BUDFLOW_ variable is known.")


def _data_dir(settings: Settings) -> Finding:
    path = settings.data_dir
    if not path.exists():
        parent = next(above for above in path.absolute().parents if above.exists())
        if os.access(parent, os.W_OK | os.X_OK):
            return Finding("data directory", "ok", f"{path} will be made at the first start.")
        return Finding("data directory", "fail", f"{parent} may not be written.", "Set BUDFLOW_DATA_DIR.")
    if not path.is_dir() or not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        return Finding("data directory", "fail", f"{path} may not be written.", "Set BUDFLOW_DATA_DIR.")
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        return Finding("data directory", "warn", f"{path} has mode {mode:o}: others may look in.", f"chmod 700 {path}")
    return Finding("data directory", "ok", f"{path}, mode {mode:o}")


def _disk(settings: Settings) -> Finding:
    free = shutil.disk_usage(_existing(settings.data_dir)).free
    said = f"{free / 1024**3:.1f} GiB free"
    if free < DISK_FREE_BYTES_MIN:
        return Finding("disk", "warn", said, "Make room: without any, executions fail as `storage.unavailable`.")
    return Finding("disk", "ok", said)


def _key(settings: Settings) -> Finding:
    path = settings.data_dir / KEY_FILE
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return Finding("owner key", "ok", "It will be made at the first start.")
    if mode & 0o077:
        return Finding(
            "owner key",
            "fail",
            f"{path} has mode {mode:o}: others may read it.",
            f"rm {path}: a new one is made. Or chmod 600, if nobody can have read it.",
        )
    return Finding("owner key", "ok", f"mode {mode:o}")


def _encryption_keys(settings: Settings) -> Finding:
    path = settings.data_dir / KEYS_FILE
    try:
        known = len(open_key_ring(settings.encryption_keys, settings.data_dir).known())
    except BudflowError as error:
        return Finding("encryption keys", "fail", error.message, error.hint)
    given = len(settings.encryption_keys)
    if given:
        beside = f", and {known - given} in {path}" if known > given else ""
        return Finding("encryption keys", "ok", f"{given} by BUDFLOW_ENCRYPTION_KEYS{beside}")
    if settings.database_url is not None:
        return Finding(
            "encryption keys",
            "warn",
            "BUDFLOW_ENCRYPTION_KEYS is not set: each server on this database would make keys that the others lack.",
            "Give all of them the same keys before the first credential is stored.",
        )
    if not known:
        return Finding("encryption keys", "ok", "One will be made with the first credential.")
    return Finding("encryption keys", "ok", f"{known} in {path}", "Back it up apart from the database.")


def _socket(settings: Settings) -> Finding:
    path = settings.data_dir.absolute() / SOCKET_NAME
    if len(os.fsencode(path)) > SOCKET_PATH_BYTES_MAX:
        return Finding("socket", "ok", "The data directory's path is long: the socket goes to a shorter one.")
    return Finding("socket", "ok", str(path))


def _database(settings: Settings) -> Finding:
    if settings.database_url is not None:
        try:
            version = asyncio.run(probe_postgres(settings.database_url))
        except BudflowError as error:
            return Finding("database", "fail", error.message, error.hint)
        return Finding("database", "ok", version)
    directory = _existing(settings.data_dir)
    kind = _file_system(directory)
    if kind in NETWORK_FILE_SYSTEMS:
        return Finding(
            "database",
            "fail",
            f"{directory} is on a network file system ({kind}), where SQLite's WAL does not work.",
            "Set BUDFLOW_DATA_DIR to a local disk, or BUDFLOW_DATABASE_URL to a PostgreSQL.",
        )
    try:
        version, mode = probe_sqlite(directory)
    except BudflowError as error:
        return Finding("database", "fail", error.message, error.hint)
    if mode != "wal":
        return Finding("database", "fail", f"SQLite {version} offers `{mode}`, not WAL.", "Use a local disk.")
    if tuple(int(part) for part in version.split(".")[:2]) < SQLITE_MIN:
        return Finding("database", "warn", f"SQLite {version} is old.", "Use a Python with SQLite 3.37 or newer.")
    return Finding("database", "ok", f"SQLite {version}, WAL works in {directory}")


def _blobs(settings: Settings) -> Finding:
    try:
        if settings.executor == "ray":
            require_shared_blobs(settings)
        blobs = open_blobs(settings.blob_url, settings.data_dir)
        blobs.check(writing=True)
    except BudflowError as error:
        return Finding("blobs", "fail", error.message, error.hint)
    return Finding("blobs", "ok", f"They can be written in {blobs.place}")


def _owner(settings: Settings) -> Finding:
    owner = read_owner(settings.data_dir)
    if owner is None:
        return Finding("server", "ok", "None is running.", "Start one with `budflow serve`.")
    where = f" at {owner.address}" if owner.address else ""
    return Finding("server", "ok", f"`budflow {owner.kind}` runs with pid {owner.pid}{where}.")


def _port(settings: Settings) -> Finding:
    owner = read_owner(settings.data_dir)
    if owner is not None and owner.address is not None and owner.address.endswith(f":{settings.port}"):
        return Finding("port", "ok", f"{settings.port} is that server's.")
    try:
        refuse_exposed(settings.host)
        with listen_tcp(settings.host, settings.port):
            return Finding("port", "ok", f"{settings.host}:{settings.port or 'any'} is free.")
    except BudflowError as error:
        return Finding("port", "fail", error.message, error.hint)


def _ray(settings: Settings) -> Finding:
    if importlib.util.find_spec("ray") is None:
        level: Level = "fail" if settings.executor == "ray" else "warn"
        return Finding("ray", level, "It is not installed.", "pip install 'ray[default]'")
    version = importlib.metadata.version("ray")
    if settings.executor != "ray":
        return Finding("ray", "ok", f"{version} is installed; executions run in process.")
    if settings.ray_address == "local":
        return Finding("ray", "ok", f"{version}, started by the server on this machine.")
    host, _, port = settings.ray_address.rpartition(":")
    if not _answers(host, port):
        return Finding("ray", "fail", f"Nobody answers at {settings.ray_address}.", "Start the head, or correct it.")
    if settings.database_url is None:
        return Finding(
            "ray", "fail", "A cluster cannot share a SQLite file.", "Set BUDFLOW_DATABASE_URL to a PostgreSQL."
        )
    return Finding("ray", "ok", f"{version}, the cluster at {settings.ray_address}")


def _ray_ports(_settings: Settings) -> Finding:
    return Finding(
        "ray's ports",
        "warn",
        "Ray listens on all interfaces, also when it is local; the token keeps strangers from running code.",
        "Fence its ports with a firewall: docs/deployment.md shows how.",
    )


def _shared_memory(_settings: Settings) -> Finding:
    path = SHARED_MEMORY
    if not path.is_dir():
        return Finding("shared memory", "ok", "There is none; Ray uses files.")
    size = shutil.disk_usage(path).total
    said = f"{path} has {size / 1024**2:.0f} MiB"
    if size < SHM_BYTES_MIN:
        return Finding("shared memory", "warn", said, "In a container, start it with --shm-size=1g; Ray slows down.")
    return Finding("shared memory", "ok", said)


def _existing(path: Path) -> Path:
    """`path`, or what is above it and there."""
    return next(one for one in (path.absolute(), *path.absolute().parents) if one.is_dir())


def _file_system(path: Path) -> str | None:
    """The kind of file system, where the kernel tells (proc(5), mounts)."""
    try:
        lines = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    target = path.resolve()
    mounts = [(Path(fields[1]), fields[2]) for line in lines if len(fields := line.split()) >= 3]
    holding = [(mount, kind) for mount, kind in mounts if target == mount or mount in target.parents]
    return max(holding, key=lambda one: len(one[0].parts), default=(None, None))[1]


def _answers(host: str, port: str) -> bool:
    try:
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
    except (OSError, ValueError):
        return False
    return True
