"""What executing needs of a blob store, and what can be wrong with a blob. Adapters meet this by shape."""

from typing import BinaryIO, Protocol

from budflow.errors import BudflowError
from budflow.model.blobs import Buffer
from budflow.model.item import BlobRef


class BlobUnreadable(BudflowError):
    """A blob cannot be read."""

    code = "blob.unreadable"
    http_status = 500
    hint = "`budflow doctor` says whether the blobs can be reached. Look at the disk or the bucket that holds them."


class BlobMissing(BlobUnreadable):
    """A blob that an execution refers to is not in the blob store."""

    code = "blob.missing"
    hint = (
        "Were the blobs moved, or restored to another state than the database? Put them back, then retry the execution."
    )


class BlobCorrupt(BlobUnreadable):
    """A blob is not what was written: its hash is another."""

    code = "blob.corrupt"
    hint = (
        "Look for a faulty disk, and for who else writes there. Run the workflow again, or fork the execution from the "
        "node that made the blob: the same data is then written anew, and mends it for all that refer to it."
    )


class BlobUnwritable(BudflowError):
    """A blob cannot be written."""

    code = "blob.unwritable"
    http_status = 503
    hint = "Is the disk full? Look at the directory or the bucket that `blob_url` names."


class BlobWriter(Protocol):
    """A blob in the making; nobody sees it before it is finished. All of it blocks, and raises BlobUnwritable."""

    def write(self, data: Buffer) -> None: ...

    def finish(self) -> BlobRef:
        """Make it durable under the hash of what was written."""
        ...

    def abandon(self) -> None:
        """Leave nothing behind; without effect on one that is finished."""
        ...


class BlobStore(Protocol):
    """Immutable bytes by project and SHA-256. All of it blocks; any thread may call it."""

    def open_writer(self, project_id: str) -> BlobWriter: ...

    def read(self, project_id: str, sha256: str, start: int, size: int) -> bytes:
        """A range; shorter where the blob ends before. Raises BlobMissing, BlobUnreadable.

        A store may notice that a blob is not what was written and raise BlobCorrupt; who reads a range checks it.
        """
        ...

    def view(self, project_id: str, sha256: str) -> memoryview | None:
        """The whole, read-only and without a copy, where this store can; else None. Who uses it checks it.

        Raises BlobMissing, BlobUnreadable.
        """
        ...

    def scratch(self) -> BinaryIO:
        """A new file without a name and without a buffer, gone when it is closed. Raises BlobUnwritable."""
        ...
