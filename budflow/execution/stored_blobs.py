"""What nodes use blobs by where the blob store can be reached: all of it in threads, beside the event loop."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from budflow.execution.blobs import BlobCorrupt, BlobStore, BlobUnwritable, BlobWriter
from budflow.model.blobs import MEDIA_TYPE, WHOLE_BYTES_MAX, BlobTooLarge, Buffer
from budflow.model.item import BlobRef

#: What is read, or written, at once.
PIECE_BYTES = 8 * 1024 * 1024

#: Threads of their own: many large blobs must not keep what else goes to threads waiting.
_threads = ThreadPoolExecutor(4, thread_name_prefix="blob")

T = TypeVar("T")


class StoredBlobs:
    """Meets BlobsCapability: the blobs of one project in a store."""

    def __init__(self, store: BlobStore, project_id: str) -> None:
        self._store, self._project_id = store, project_id

    async def read(self, ref: BlobRef) -> memoryview:
        """See BlobsCapability."""
        if ref.size_bytes > WHOLE_BYTES_MAX:
            raise too_large(ref.size_bytes)
        return await _in_thread(self._read, ref)

    async def stream(self, ref: BlobRef) -> AsyncGenerator[bytes, None]:
        """See BlobsCapability."""
        seen = hashlib.sha256()
        for start in range(0, ref.size_bytes, PIECE_BYTES):
            piece = await _in_thread(self._piece, ref, start)
            seen.update(piece)
            if start + len(piece) == ref.size_bytes:
                _check(seen.hexdigest(), ref)
            yield piece

    async def put(self, data: Buffer, *, media_type: str = MEDIA_TYPE, name: str | None = None) -> BlobRef:
        """See BlobsCapability."""
        stored = await _in_thread(self._put, memoryview(data).cast("B"))
        return stored._replace(media_type=media_type, name=name)

    @asynccontextmanager
    async def write(self, *, media_type: str = MEDIA_TYPE, name: str | None = None) -> AsyncIterator["StoredSink"]:
        """See BlobsCapability."""
        writer = await _to_its_end(self._store.open_writer, self._project_id)
        try:
            sink = StoredSink(writer)
            yield sink
            stored = await _to_its_end(writer.finish)
        finally:
            await _to_its_end(writer.abandon)
        sink.finished = stored._replace(media_type=media_type, name=name)

    def _read(self, ref: BlobRef) -> memoryview:
        whole = self._store.view(self._project_id, ref.sha256)
        if whole is None:
            whole = self._loaded(ref)
        _check(hashlib.sha256(whole).hexdigest(), ref)
        return whole.toreadonly()

    def _loaded(self, ref: BlobRef) -> memoryview:
        try:
            whole = memoryview(bytearray(ref.size_bytes))
        except MemoryError as error:
            raise BlobTooLarge(f"There is not enough memory for a blob of {ref.size_bytes:,} bytes.") from error
        for start in range(0, ref.size_bytes, PIECE_BYTES):
            piece = self._piece(ref, start)
            whole[start : start + len(piece)] = piece
        return whole

    def _piece(self, ref: BlobRef, start: int) -> bytes:
        size = min(PIECE_BYTES, ref.size_bytes - start)
        piece = self._store.read(self._project_id, ref.sha256, start, size)
        if len(piece) != size:
            raise BlobCorrupt(f"The blob {ref.sha256} ends before byte {start + size:,}.", sha256=ref.sha256)
        return piece

    def _put(self, view: memoryview) -> BlobRef:
        writer = self._store.open_writer(self._project_id)
        try:
            for start in range(0, len(view), PIECE_BYTES):
                writer.write(view[start : start + PIECE_BYTES])
            return writer.finish()
        finally:
            writer.abandon()


class StoredSink:
    """Meets BlobSink."""

    def __init__(self, writer: BlobWriter) -> None:
        self._writer = writer
        self.finished: BlobRef | None = None

    async def write(self, data: Buffer) -> None:
        """See BlobSink."""
        await _to_its_end(self._writer.write, memoryview(data).cast("B"))

    @property
    def ref(self) -> BlobRef:
        """See BlobSink."""
        return finished(self.finished)


def finished(ref: BlobRef | None) -> BlobRef:
    """The reference of a blob in the making. Raises BlobUnwritable while there is none."""
    if ref is None:
        raise BlobUnwritable("This blob is not finished.", hint="Ask for its reference behind the `async with`.")
    return ref


def too_large(size: int) -> BlobTooLarge:
    """Why a blob of so many bytes is not taken as a whole."""
    return BlobTooLarge(f"A blob of {size:,} bytes is not held as a whole; at most {WHOLE_BYTES_MAX:,} are.")


def _check(sha256: str, ref: BlobRef) -> None:
    if sha256 != ref.sha256:
        raise BlobCorrupt(f"The blob {ref.sha256} is not what was written.", sha256=ref.sha256)


def _in_thread(call: Callable[..., T], *args: Any) -> "asyncio.Future[T]":
    return asyncio.get_running_loop().run_in_executor(_threads, call, *args)


async def _to_its_end(call: Callable[..., T], *args: Any) -> T:
    """Call it in a thread. Whoever is cancelled waits for it: of one blob no two threads may do something at once."""
    running = _in_thread(call, *args)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait((running,))
        raise
