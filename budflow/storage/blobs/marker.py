"""Whether a directory of blobs is the one that the servers of a database use: an empty file in it names the database.

A server that is alone puts it there. So another server or a worker on the same machine, or on one that has the same
network file system, finds it, and one elsewhere does not, though a directory has the same path there.
"""

import hashlib
from pathlib import Path

from budflow.errors import BudflowError
from budflow.log import get_log

KEY_NAME = "blobs"
HEX_DIGITS = 16

log = get_log(__name__)


class BlobsNotShared(BudflowError):
    """This is not the directory in which the servers keep their blobs."""

    code = "blob.not_shared"
    http_status = 500
    hint = (
        "On another machine set `BUDFLOW_BLOB_URL` to an s3:// address for all of them, or mount the servers' "
        "directory. On the same one set `BUDFLOW_DATA_DIR` or `BUDFLOW_BLOB_URL` as the server has it, and start the "
        "server first."
    )


def mark(directory: Path, key: bytes) -> None:
    """Say in the directory, which is made where it is missing, that the blobs of a database are there.

    `key` is the server key KEY_NAME of the database.
    """
    path = _marker(directory, key)
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch()
    except OSError as error:
        log.warning("blobs.not_marked", path=str(path), reason=error.strerror)  # Only workers would miss it.


def require_marked(directory: Path, key: bytes) -> None:
    """Raise BlobsNotShared unless a server of the database keeps its blobs in the directory."""
    if not _marker(directory, key).exists():
        raise BlobsNotShared(f"No server of this database keeps its blobs in {directory}.", path=str(directory))


def _marker(directory: Path, key: bytes) -> Path:
    return directory / f"database-{hashlib.sha256(key).hexdigest()[:HEX_DIGITS]}"
