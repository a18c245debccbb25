"""Lists of items in blobs: written and read chunk by chunk, each of them compressed and known by its hash.

A blob is its chunks, zstd frames of `encode_items`' columns, and behind them an index of where they are, as JSON in a
frame of its own. The reference in the journal has the index' hash and the index those of the chunks: every byte that
is used was checked, though nobody reads the whole.
"""

import hashlib
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from operator import attrgetter
from typing import NamedTuple
from weakref import WeakValueDictionary

import orjson
import zstandard

from budflow.execution.blobs import BlobCorrupt, BlobStore, BlobWriter
from budflow.model.item import Item, ItemList
from budflow.model.item_codec import decode_items, decode_lineage, encode_items, encode_lineage, to_plain
from budflow.model.journal import EventUnwritable
from budflow.model.spilled import Chunk, Chunks, ListRef, Part, Spilled, SpilledLineage, opened

CHUNK_BYTES = 1024 * 1024
#: Chunks that were read last, of all lists; decoded each takes some times its size.
CHUNKS_KEPT = 6
INDEXES_KEPT = 256
#: Blobs that the items of one list may refer to: every event that holds the list names them all.
BINARY_MAX = 10_000

_LEVEL = 1  # As in the journal: fast enough to cost less than writing what it saves.


class _Entry(NamedTuple):
    """A chunk's place in its blob: bytes, items, hash; and the lineage of its items where that is regular."""

    start: int
    size: int
    first: int
    items: int
    sha256: str
    lineage: dict[str, int] | None


class ListWriter:
    """Writes one list. Blocks: to be called in a thread, by one at a time. Raises BlobUnwritable."""

    def __init__(self, blob: BlobWriter, chunk_bytes: int = CHUNK_BYTES) -> None:
        self._blob, self._chunk_bytes = blob, chunk_bytes
        self._compress = zstandard.ZstdCompressor(level=_LEVEL).compress
        self._entries: list[_Entry] = []
        self._written = self._items = self._content = 0
        self._item_bytes = 1024.0  # What an item takes, by those written so far.
        self._binary: dict[str, int] = {}

    def __len__(self) -> int:
        return self._items

    def add(self, items: Sequence[Item], lineage: Sequence[int]) -> None:
        """Write items at the end. Raises EventUnwritable for what is no JSON, and for more than BINARY_MAX blobs."""
        self._binary.update((ref.sha256, ref.size_bytes) for item in items for ref in item.binary.values())
        if len(self._binary) > BINARY_MAX:
            raise EventUnwritable(f"A list that is too long for memory can refer to {BINARY_MAX:,} blobs and no more.")
        start = 0
        while start < len(items):
            stop = min(len(items), start + max(1, int(self._chunk_bytes / self._item_bytes)))
            packed = _packed(items[start:stop], lineage[start:stop])
            while len(packed) > 2 * self._chunk_bytes and stop - start > 1:
                stop = start + max(1, (stop - start) * self._chunk_bytes // len(packed))
                packed = _packed(items[start:stop], lineage[start:stop])
            self._item_bytes = len(packed) / (stop - start)
            self._put(packed, stop - start, lineage[start:stop])
            start = stop

    def finish(self) -> ListRef:
        """Make the list durable."""
        index = self._compress(orjson.dumps({"format": 1, "chunks": [list(entry) for entry in self._entries]}))
        self._blob.write(index)
        blob = self._blob.finish()
        return ListRef(
            *(blob.sha256, blob.size_bytes, self._items, self._content, len(index), hashlib.sha256(index).hexdigest()),
            binary=tuple(self._binary.items()),
        )

    def abandon(self) -> None:
        """Leave nothing behind."""
        self._blob.abandon()

    def _put(self, packed: bytes, items: int, lineage: Sequence[int]) -> None:
        frame = self._compress(packed)
        regular = encode_lineage(lineage)
        self._blob.write(frame)
        self._entries.append(
            _Entry(
                self._written,
                len(frame),
                self._items,
                items,
                hashlib.sha256(frame).hexdigest(),
                None if isinstance(regular, list) else regular,
            )
        )
        self._written += len(frame)
        self._items += items
        self._content += len(packed)


class ListStore:
    """The lists in one blob store, and the chunks that were read last."""

    def __init__(self, blobs: BlobStore) -> None:
        self.blobs = blobs
        self._chunks: OrderedDict[tuple[str, str, int], Chunk] = OrderedDict()
        self._indexes: OrderedDict[tuple[str, str], list[_Entry]] = OrderedDict()
        self._held: WeakValueDictionary[tuple[str, str, int], Chunk] = WeakValueDictionary()  # By whoever uses them.
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type["ListStore"], tuple[BlobStore]]:
        """For another process: the same lists, of which none was read yet."""
        return (ListStore, (self.blobs,))

    def open_writer(self, project_id: str, chunk_bytes: int = CHUNK_BYTES) -> ListWriter:
        """A new list. Blocks. Raises BlobUnwritable."""
        return ListWriter(self.blobs.open_writer(project_id), chunk_bytes)

    def open(self, project_id: str, items: ItemList) -> ItemList:
        """The list, able to be read; nothing is read here. A list in memory stays as it is."""
        return opened(items, lambda ref: self.chunks(project_id, ref))

    def stored(self, project_id: str, ref: ListRef) -> ItemList:
        """The whole of a stored list, with the lineage that it was written with."""
        items = Spilled([Part(0, ref.items, ref, self.chunks(project_id, ref))])
        return ItemList(items, SpilledLineage(items))

    def chunks(self, project_id: str, ref: ListRef) -> Chunks:
        """The chunks of a stored list."""
        return _Stored(self, project_id, ref)

    def index(self, project_id: str, ref: ListRef) -> list[_Entry]:
        """Where the chunks of a list are. Raises BlobMissing, BlobCorrupt."""
        key = (project_id, ref.sha256)
        with self._lock:
            found = self._indexes.get(key)
        if found is None:
            start = ref.size_bytes - ref.index_bytes
            packed = self._checked(project_id, ref, start, ref.index_bytes, ref.index_sha256)
            found = [_Entry(*entry) for entry in orjson.loads(packed)["chunks"]]
            with self._lock:
                self._indexes[key] = found
                if len(self._indexes) > INDEXES_KEPT:
                    self._indexes.popitem(last=False)
        return found

    def known(self, project_id: str, ref: ListRef, ordinal: int) -> Chunk | None:
        """The chunk that holds an item, where it is in memory; nothing is read for that."""
        with self._lock:
            entries = self._indexes.get((project_id, ref.sha256))
        if entries is None:
            return None
        number = bisect_right(entries, ordinal, key=attrgetter("first")) - 1
        return self._found((project_id, ref.sha256, number))

    def chunk(self, project_id: str, ref: ListRef, number: int) -> Chunk:
        """One chunk. Raises BlobMissing, BlobCorrupt."""
        key = (project_id, ref.sha256, number)
        found = self._found(key)
        if found is not None:
            return found
        entry = self.index(project_id, ref)[number]
        packed = self._checked(project_id, ref, entry.start, entry.size, entry.sha256)
        items = decode_items(orjson.loads(packed))
        regular = entry.lineage
        lineage = items.lineage if regular is None else decode_lineage(regular, entry.items)
        found = Chunk(entry.first, items.items, lineage)
        with self._lock:
            # Where another thread was faster all have its chunk: one that somebody keeps must stay to be found.
            self._chunks[key] = found = self._held.setdefault(key, found)
            if len(self._chunks) > CHUNKS_KEPT:
                self._chunks.popitem(last=False)
        return found

    def _found(self, key: tuple[str, str, int]) -> Chunk | None:
        with self._lock:
            found = self._chunks.get(key)
            if found is None:
                return self._held.get(key)
            self._chunks.move_to_end(key)
            return found

    def _checked(self, project_id: str, ref: ListRef, start: int, size: int, sha256: str) -> bytes:
        frame = self.blobs.read(project_id, ref.sha256, start, size)
        if hashlib.sha256(frame).hexdigest() != sha256:
            message = f"The blob {ref.sha256} is not what was written, at byte {start}."
            raise BlobCorrupt(message, sha256=ref.sha256, at=start)
        return zstandard.ZstdDecompressor().decompress(frame)


class _Stored:
    """Meets Chunks: one list of the store."""

    __slots__ = ("_firsts", "_project_id", "_ref", "_store")

    def __init__(self, store: ListStore, project_id: str, ref: ListRef) -> None:
        self._store, self._project_id, self._ref = store, project_id, ref
        self._firsts: list[int] | None = None

    def at(self, ordinal: int) -> Chunk:
        return self._store.chunk(self._project_id, self._ref, self._number(ordinal))

    def known(self, ordinal: int) -> Chunk | None:
        return self._store.known(self._project_id, self._ref, ordinal)

    def stop(self, ordinal: int) -> int:
        entry = self._store.index(self._project_id, self._ref)[self._number(ordinal)]
        return entry.first + entry.items

    def origin(self, ordinal: int) -> int:
        number = self._number(ordinal)
        entry = self._store.index(self._project_id, self._ref)[number]
        if entry.lineage is not None:
            return decode_lineage(entry.lineage, entry.items)[ordinal - entry.first]
        return self._store.chunk(self._project_id, self._ref, number).lineage[ordinal - entry.first]

    def _number(self, ordinal: int) -> int:
        if self._firsts is None:
            self._firsts = [entry.first for entry in self._store.index(self._project_id, self._ref)]
        return bisect_right(self._firsts, ordinal) - 1


def _packed(items: Sequence[Item], lineage: Sequence[int]) -> bytes:
    regular = encode_lineage(lineage)
    # A regular lineage stands in the index; here it would only be read again.
    column = lineage if isinstance(regular, list) else range(len(items))
    try:
        return orjson.dumps(encode_items(ItemList(items, column)), default=to_plain, option=orjson.OPT_NON_STR_KEYS)
    except orjson.JSONEncodeError as error:
        raise EventUnwritable(f"What it gave is not JSON: {error}.") from error
