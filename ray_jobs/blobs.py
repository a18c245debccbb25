"""Blobs of heavy segments: their bytes pass through Ray's object store, each put there once, and are not copied again.

The runner actor has the blob store, and remembers which blobs stand in the object store too. The task of a segment asks
it for what it reads, and gives it what it wrote, both by reference. Ray moves the objects between its nodes and writes
to disk what is too much for memory. None of them is the only copy of what a node gave: it is in the blob store first.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pickle import PickleBuffer
from tempfile import TemporaryFile
from typing import Any, BinaryIO, TypeVar

import ray
from ray.exceptions import (
    GetTimeoutError,
    ObjectLostError,
    ObjectStoreFullError,
    OutOfDiskError,
    RayError,
    RayTaskError,
)

from budflow.errors import BudflowError
from budflow.execution.blobs import BlobCorrupt, BlobUnwritable
from budflow.execution.lists import ListStore
from budflow.execution.stored_blobs import PIECE_BYTES, finished, too_large
from budflow.log import get_log
from budflow.model.blobs import MEDIA_TYPE, WHOLE_BYTES_MAX, BlobsCapability, Buffer
from budflow.model.failure import NodeError
from budflow.model.item import BlobRef, ItemList
from budflow.model.spilled import Spilled

#: What an actor keeps in the object store beyond what is in use: 4 GiB, which Ray writes to disk where it is too much.
KEPT_BYTES_MAX = 4 * 1024**3
#: And at most so many, for small ones.
KEPT_MAX = 10_000
#: How long it may take until an object has come from the node where it is.
OBJECT_SECONDS_MAX = 120.0

T = TypeVar("T")
log = get_log(__name__)


class ObjectUnreachable(NodeError):
    """The bytes of a blob did not come through Ray's object store."""

    code = "ray.object_unreachable"
    hint = "A Ray node may have died, or be cut off. Retry the execution, or give the node a `retry`."
    retriable = True


class ObjectStoreTooSmall(NodeError):
    """A blob finds no room in Ray's object store, nor on the disk of its node."""

    code = "ray.object_store_full"
    hint = "Start the Ray nodes with a larger `--object-store-memory`, or make room on the disk that Ray writes to."
    retriable = True


class Content:
    """Bytes as Ray keeps them: pickled by reference, so that who gets them sees the object store's own memory."""

    def __init__(self, data: Any) -> None:
        self.view = memoryview(data)

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return (Content, (PickleBuffer(self.view),))


class BlobObjects:
    """The actor's side: the blobs that stand in the object store, by project and hash, those used last.

    `loaded` were put there out of the blob store, `taken` by tasks that wrote them.
    """

    def __init__(self, bytes_max: int = KEPT_BYTES_MAX) -> None:
        self._bytes_max, self._bytes = bytes_max, 0
        self._kept: OrderedDict[tuple[str, str], tuple[Any, int]] = OrderedDict()
        self._loading: dict[tuple[str, str], asyncio.Future[Any]] = {}
        self.loaded = self.taken = 0

    async def find(self, blobs: BlobsCapability, project_id: str, ref: BlobRef, *, anew: bool) -> Any:
        """Ray's reference to the content of a blob, which is loaded where it is not there, or `anew`.

        Raises what reading it raises, and ObjectStoreTooSmall.
        """
        key = (project_id, ref.sha256)
        if anew:
            self._forget(key)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key][0]
        loading = self._loading.get(key)
        if loading is None:  # Of several that ask at once one loads it for all.
            loading = self._loading[key] = asyncio.ensure_future(self._load(blobs, key, ref))
            loading.add_done_callback(lambda done: self._loaded(key, done))
        return await asyncio.shield(loading)

    async def take(self, blobs: BlobsCapability, project_id: str, content: Any, ref: BlobRef) -> BlobRef:
        """Make durable what a task has put into the object store; `ref` says what it is to be.

        Raises BlobUnwritable, BlobCorrupt where something else came, ObjectUnreachable.
        """
        try:
            async with asyncio.timeout(OBJECT_SECONDS_MAX):
                found: Content = await content
        except (RayError, TimeoutError) as error:
            raise ObjectUnreachable(f"What a node wrote did not come: {type(error).__name__}.") from error
        stored = await blobs.put(found.view, media_type=ref.media_type, name=ref.name)
        if stored != ref:
            raise BlobCorrupt(f"A blob was to be {ref.sha256}, and {stored.sha256} came.", sha256=ref.sha256)
        self.taken += 1
        log.info("blob.taken", sha256=ref.sha256, bytes=ref.size_bytes)
        self._keep((project_id, ref.sha256), content, ref.size_bytes)
        return stored

    async def _load(self, blobs: BlobsCapability, key: tuple[str, str], ref: BlobRef) -> Any:
        content = Content(await blobs.read(ref))
        reference = await asyncio.to_thread(_put, content)
        self.loaded += 1
        log.info("blob.loaded", sha256=ref.sha256, bytes=ref.size_bytes)
        self._keep(key, reference, ref.size_bytes)
        return reference

    def _loaded(self, key: tuple[str, str], loading: "asyncio.Future[Any]") -> None:
        self._loading.pop(key, None)
        if not loading.cancelled():
            loading.exception()  # Whoever asked may be gone.

    def _keep(self, key: tuple[str, str], reference: Any, size: int) -> None:
        self._forget(key)
        self._kept[key] = (reference, size)
        self._bytes += size
        while self._bytes > self._bytes_max or len(self._kept) > KEPT_MAX:
            self._forget(next(iter(self._kept)))

    def _forget(self, key: tuple[str, str]) -> None:
        _, size = self._kept.pop(key, (None, 0))
        self._bytes -= size


class TaskBlobs:
    """Meets SegmentBlobs in the task of a segment: `runner` is the actor that handed it out, `number` its number."""

    def __init__(self, runner: Any, number: int) -> None:
        self._runner, self._number = runner, number

    async def read(self, ref: BlobRef) -> memoryview:
        """See BlobsCapability."""
        if ref.size_bytes > WHOLE_BYTES_MAX:
            raise too_large(ref.size_bytes)
        return await asyncio.to_thread(self.read_now, ref)

    async def stream(self, ref: BlobRef) -> AsyncGenerator[bytes, None]:
        """See BlobsCapability. The object store has it as a whole."""
        whole = await self.read(ref)
        for start in range(0, len(whole), PIECE_BYTES):
            yield bytes(whole[start : start + PIECE_BYTES])

    async def put(self, data: Buffer, *, media_type: str = MEDIA_TYPE, name: str | None = None) -> BlobRef:
        """See BlobsCapability."""
        return await asyncio.to_thread(self.put_now, memoryview(data).cast("B"), media_type, name)

    @asynccontextmanager
    async def write(self, *, media_type: str = MEDIA_TYPE, name: str | None = None) -> AsyncIterator["MemorySink"]:
        """See BlobsCapability. The pieces are in memory until the end."""
        sink = MemorySink()
        yield sink
        sink.finished = await self.put(sink.written, media_type=media_type, name=name)

    def list_store(self, items: ItemList) -> ListStore:
        """See SegmentBlobs."""
        parts = items.items.parts if isinstance(items.items, Spilled) else ()
        return ListStore(TaskStore(self, {part.ref.sha256: part.ref.size_bytes for part in parts if part.ref}))

    def read_now(self, ref: BlobRef) -> memoryview:
        """The same as `read`; blocks."""
        for anew in (False, True):
            [reference] = _answer(self._runner.find_blob_for_segment.remote(self._number, ref, anew))
            try:
                content: Content = ray.get(reference, timeout=OBJECT_SECONDS_MAX)
                return content.view.toreadonly()
            except (ObjectLostError, GetTimeoutError):
                continue  # Its node or its owner died. The blob store has it.
        raise ObjectUnreachable(f"The blob {ref.sha256} did not come within {OBJECT_SECONDS_MAX:g} s, twice.")

    def put_now(self, data: memoryview, media_type: str, name: str | None) -> BlobRef:
        """The same as `put`; blocks."""
        if len(data) > WHOLE_BYTES_MAX:
            raise too_large(len(data))
        ref = BlobRef(hashlib.sha256(data).hexdigest(), len(data), media_type, name)
        # In a list Ray passes the reference itself. On its own it would be the bytes.
        references = [_put(Content(data))]
        taken: BlobRef = _answer(self._runner.take_blob_of_segment.remote(self._number, references, ref))
        return taken


class TaskStore:
    """Meets BlobStore in such a task, for its lists, each of them as a whole from the object store.

    `sizes` are those of the blobs that can be read, by hash.
    """

    def __init__(self, blobs: TaskBlobs, sizes: Mapping[str, int]) -> None:
        self._blobs, self._sizes = blobs, sizes
        self._views: dict[str, memoryview] = {}

    def open_writer(self, project_id: str) -> "TaskWriter":
        """See BlobStore."""
        return TaskWriter(self._blobs)

    def view(self, project_id: str, sha256: str) -> memoryview:
        """See BlobStore."""
        if sha256 not in self._views:
            self._views[sha256] = self._blobs.read_now(BlobRef(sha256, self._sizes[sha256]))
        return self._views[sha256]

    def read(self, project_id: str, sha256: str, start: int, size: int) -> bytes:
        """See BlobStore."""
        return bytes(self.view(project_id, sha256)[start : start + size])

    def scratch(self) -> BinaryIO:
        """See BlobStore."""
        try:
            return TemporaryFile(buffering=0)
        except OSError as error:
            raise BlobUnwritable(f"A temporary file cannot be made: {error.strerror}.") from error


class TaskWriter:
    """Meets BlobWriter: what is written is in memory until it is finished."""

    def __init__(self, blobs: TaskBlobs) -> None:
        self._blobs = blobs
        self._written = bytearray()

    def write(self, data: Buffer) -> None:
        """See BlobWriter."""
        self._written += data

    def finish(self) -> BlobRef:
        """See BlobWriter."""
        return self._blobs.put_now(memoryview(self._written), MEDIA_TYPE, None)

    def abandon(self) -> None:
        """See BlobWriter."""


class MemorySink:
    """Meets BlobSink."""

    def __init__(self) -> None:
        self.written = bytearray()
        self.finished: BlobRef | None = None

    async def write(self, data: Buffer) -> None:
        """See BlobSink."""
        if len(self.written) + len(data) > WHOLE_BYTES_MAX:
            raise too_large(len(self.written) + len(data))
        self.written += data

    @property
    def ref(self) -> BlobRef:
        """See BlobSink."""
        return finished(self.finished)


def _put(content: Content) -> Any:
    """Put it into the object store of this node, once; blocks. Raises ObjectStoreTooSmall."""
    try:
        return ray.put(content)
    except (ObjectStoreFullError, OutOfDiskError) as error:
        size = len(content.view)
        raise ObjectStoreTooSmall(f"A blob of {size:,} bytes finds no room in Ray's object store.") from error


def _answer(asked: "ray.ObjectRef[T]") -> T:
    """What the actor answers; blocks. Raises what it raised."""
    try:
        return ray.get(asked)
    except RayTaskError as error:
        if isinstance(error.cause, BudflowError):
            raise error.cause from None
        raise
