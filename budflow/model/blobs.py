"""The bytes that items carry as `binary`: what a node may use to read them, and to write new ones."""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from budflow.errors import BudflowError
from budflow.model.failure import NodeError
from budflow.model.item import BlobRef

#: A blob that is larger is not read as a whole: 4 GiB.
WHOLE_BYTES_MAX = 4 * 1024**3
MEDIA_TYPE = "application/octet-stream"

Buffer = bytes | bytearray | memoryview


class BlobsClosed(BudflowError):
    """In this process nodes have no blobs."""

    code = "blob.no_store"
    http_status = 500
    hint = "Run the workflow on a server, which keeps blobs in its data directory or where `blob_url` says."


class BlobTooLarge(NodeError):
    """The blob is too large to be held as a whole."""

    code = "blob.too_large"
    http_status = 422
    hint = "Split what it is made from, or give the machine more memory where that is what is missing."


class BlobSink(Protocol):
    """A blob in the making."""

    async def write(self, data: Buffer) -> None:
        """Add bytes at the end. Raises BlobUnwritable, BlobTooLarge."""
        ...

    @property
    def ref(self) -> BlobRef:
        """What an item refers to the blob by; there is one once the context has ended without an error."""
        ...


class BlobsCapability(Protocol):
    """The blobs of the execution's project, and of no other.

    What was written is durable before the node goes on. It stays for as long as something refers to it: the node has to
    give an item back that carries the reference in its `binary`, else the blob is removed some day.
    """

    async def read(self, ref: BlobRef) -> memoryview:
        """All of it, read-only, as a buffer that others can wrap without a copy; its hash was checked.

        Where the process can, it is mapped and not loaded, so that it takes memory only while it is used. Raises
        BlobTooLarge for more than 4 GiB or more than there is memory, BlobMissing, BlobCorrupt, BlobUnreadable.
        """
        ...

    def stream(self, ref: BlobRef) -> AsyncGenerator[bytes, None]:
        """It from its beginning to its end, some MiB at a time. What is used before the end was not checked yet.

        Raises BlobMissing, BlobUnreadable, and at the end BlobCorrupt.
        """
        ...

    async def put(self, data: Buffer, *, media_type: str = MEDIA_TYPE, name: str | None = None) -> BlobRef:
        """Write a blob that is in memory; `name` is a file name for people. Raises BlobUnwritable, BlobTooLarge."""
        ...

    def write(self, *, media_type: str = MEDIA_TYPE, name: str | None = None) -> AbstractAsyncContextManager[BlobSink]:
        """Write a blob piece by piece; nothing stays of it when an error ends the context. Raises BlobUnwritable."""
        ...


class NoBlobs:
    """Meets BlobsCapability where there is no store. All of it raises BlobsClosed."""

    async def read(self, ref: BlobRef) -> memoryview:
        """See BlobsCapability."""
        raise BlobsClosed

    def stream(self, ref: BlobRef) -> AsyncGenerator[bytes, None]:
        """See BlobsCapability."""
        raise BlobsClosed

    async def put(self, data: Buffer, *, media_type: str = MEDIA_TYPE, name: str | None = None) -> BlobRef:
        """See BlobsCapability."""
        raise BlobsClosed

    def write(self, *, media_type: str = MEDIA_TYPE, name: str | None = None) -> AbstractAsyncContextManager[BlobSink]:
        """See BlobsCapability."""
        raise BlobsClosed


NO_BLOBS = NoBlobs()
