"""Lists that are too long for memory: their items stand in blobs, part after part, and are read when asked for.

They take the place of a plain list in an ItemList, so that a node need not know which of the two it is given.
"""

import weakref
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import NamedTuple, Protocol, overload

from budflow.errors import BudflowError
from budflow.model.item import Item, ItemError, ItemList, Json

#: A slice that is no longer than this is a plain list.
SLICE_ITEMS_MAX = 10_000
#: A list in blobs that is longer than this is read as a whole by nobody.
READ_ITEMS_MAX = 100_000


class ListUnopened(BudflowError):
    """This process cannot read the blobs that hold these items."""

    code = "blob.not_opened"
    http_status = 500
    hint = "Give the runner the server's `blob_url`."


class ListTooLong(BudflowError):
    """The list is too long to be held in memory as a whole."""

    code = "blob.list_too_long"
    http_status = 422
    hint = "Reduce it before with data.aggregate, data.limit or flow.filter, or go through it item by item."


class ListRef(NamedTuple):
    """A list of so many `items` in a blob, which is compressed; as JSON they have `content_bytes` bytes.

    The last `index_bytes` of the blob say where its chunks are, and what the hash of each is. Their own hash stands
    here, so that whoever holds this can check every byte that is read, without reading the whole. `binary` are hash and
    size of the blobs that its items refer to: they must stay for as long as the list does.
    """

    sha256: str
    size_bytes: int
    items: int
    content_bytes: int
    index_bytes: int
    index_sha256: str
    binary: tuple[tuple[str, int], ...] = ()


class Chunk:
    """Some neighbouring items of a stored list, with their lineage; `first` is the ordinal of the first of them."""

    __slots__ = ("__weakref__", "first", "items", "lineage", "stop")

    def __init__(self, first: int, items: Sequence[Item], lineage: Sequence[int]) -> None:
        self.first, self.items, self.lineage, self.stop = first, items, lineage, first + len(items)


class Chunks(Protocol):
    """A stored list that can be read. Everything raises BlobMissing and BlobCorrupt."""

    def at(self, ordinal: int) -> Chunk:
        """The chunk that holds this item."""
        ...

    def known(self, ordinal: int) -> Chunk | None:
        """The chunk that holds this item, where it is in memory."""
        ...

    def stop(self, ordinal: int) -> int:
        """Where the chunk that holds this item ends."""
        ...

    def origin(self, ordinal: int) -> int:
        """The lineage of one item, without reading the items where that is possible."""
        ...


@dataclass(frozen=True, slots=True)
class Part:
    """Items from `start` up to `stop` of a stored list (with `ref`), or of the plain list `items`.

    With `error` each of them is as if it had that error set. `lineage` has an entry for each item of the part; without
    it that of a stored list is the one that it was written with.
    """

    start: int
    stop: int
    ref: ListRef | None = None
    chunks: Chunks | None = None
    items: Sequence[Item] = ()
    error: ItemError | None = None
    lineage: Sequence[int] | None = None

    def __len__(self) -> int:
        return self.stop - self.start

    def cut(self, start: int, stop: int) -> "Part":
        """A part of this part, counted within it."""
        lineage = None if self.lineage is None else self.lineage[start:stop]
        return replace(self, start=self.start + start, stop=self.start + stop, lineage=lineage)

    def origin(self, ordinal: int) -> int:
        """The lineage of one item, by its ordinal in the list that this is a part of. Raises ListUnopened."""
        return self.readable.origin(ordinal) if self.lineage is None else self.lineage[ordinal - self.start]

    def read(self, ordinal: int, stop: int) -> Sequence[Item]:
        """Items from an ordinal on: up to `stop`, but of no more than one chunk. Raises ListUnopened."""
        if self.ref is None:
            items = self.items[ordinal:stop]
        else:
            chunk = self.readable.at(ordinal)
            items = chunk.items[ordinal - chunk.first : min(stop, chunk.stop) - chunk.first]
        return items if self.error is None else [item._replace(error=self.error) for item in items]

    def same_as(self, other: "Part") -> bool:
        """Whether both are the same items, with the same lineage, whatever their error."""
        if (self.ref, self.start, self.stop) != (other.ref, other.start, other.stop) or self.items is not other.items:
            return False
        if self.lineage is None or other.lineage is None:
            return self.ref is not None and self.lineage is other.lineage
        return self.lineage is other.lineage or list(self.lineage) == list(other.lineage)

    def with_next(self, other: "Part") -> "Part | None":
        """This and another part as one, where the other goes on in the same stored list and lineage; else None."""
        if self.ref is None or (self.ref, self.stop, self.error) != (other.ref, other.start, other.error):
            return None
        one, two = self.lineage, other.lineage
        if one is None and two is None:
            return replace(self, stop=other.stop)
        if isinstance(one, range) and isinstance(two, range) and one.step == two.step == 1 and one.stop == two.start:
            return replace(self, stop=other.stop, lineage=range(one.start, two.stop))
        return None

    @property
    def content_bytes(self) -> int:
        """About how large its items are as JSON; 0 where they are in memory."""
        return 0 if self.ref is None else self.ref.content_bytes * len(self) // max(1, self.ref.items)

    @property
    def readable(self) -> Chunks:
        """The stored list. Raises ListUnopened."""
        if self.chunks is None:
            raise ListUnopened
        return self.chunks


class Spilled(Sequence[Item]):
    """The items of one part or several. Going through them in order keeps no more than one chunk in memory."""

    __slots__ = ("_count", "_recent", "_starts", "parts", "position")

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = tuple(part for part in parts if len(part))
        ends = list(accumulate(len(part) for part in self.parts))
        self._starts = [0, *ends[:-1]]
        self._count = ends[-1] if ends else 0
        #: What was read last, and what must be added to an index to get the ordinal in it.
        self._recent: tuple[weakref.ref[Chunk], int] | None = None
        #: Behind the items that were read last as a block: whoever goes through them goes on here.
        self.position = 0

    @property
    def opened(self) -> bool:
        """Whether its items can be read."""
        return all(part.ref is None or part.chunks is not None for part in self.parts)

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Item: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Item]: ...

    def __getitem__(self, index: int | slice) -> Item | Sequence[Item]:
        if isinstance(index, slice):
            return self._slice(index)
        if index < 0:
            index += self._count
        if not 0 <= index < self._count:
            raise IndexError(index)
        if self._recent is not None and (chunk := self._recent[0]()) is not None:
            ordinal = index + self._recent[1]
            if chunk.first <= ordinal < chunk.stop:
                return chunk.items[ordinal - chunk.first]
        part, ordinal = self.locate(index)
        if part.ref is None or part.error is not None:
            return part.read(ordinal, ordinal + 1)[0]
        chunk = part.readable.at(ordinal)
        # A chunk may reach beyond its part: then the next item is another list's, and must be looked for again.
        if part.start <= chunk.first and chunk.stop <= part.stop:
            self._recent = (weakref.ref(chunk), ordinal - index)
        return chunk.items[ordinal - chunk.first]

    def __iter__(self) -> Iterator[Item]:
        index = 0
        while index < self._count:
            block = self.block(index)
            yield from block
            index += len(block)

    def block(self, index: int, most: int | None = None) -> Sequence[Item]:
        """Items from `index` on, as many as can be had by reading at most one chunk."""
        part, ordinal = self.locate(index)
        items = part.read(ordinal, part.stop if most is None else min(part.stop, ordinal + most))
        self.position = index + len(items)
        return items

    def locate(self, index: int) -> tuple[Part, int]:
        """The part that an item stands in, and its ordinal in the list that this is a part of."""
        number = bisect_right(self._starts, index) - 1
        part = self.parts[number]
        return part, part.start + index - self._starts[number]

    def _slice(self, wanted: slice) -> Sequence[Item]:
        start, stop, step = wanted.indices(self._count)
        if step != 1:
            return [self[index] for index in range(start, stop, step)]
        if stop - start <= SLICE_ITEMS_MAX:
            items: list[Item] = []
            while (index := start + len(items)) < stop:
                items.extend(self.block(index, stop - index))
            return items
        return Spilled(self.cut(start, stop))

    def cut(self, start: int, stop: int) -> list[Part]:
        """The parts between two indices."""
        found: list[Part] = []
        number = bisect_right(self._starts, start) - 1
        while start < stop and number < len(self.parts) and (first := self._starts[number]) < stop:
            part = self.parts[number]
            found.append(part.cut(max(0, start - first), min(len(part), stop - first)))
            number += 1
        return found


class SpilledLineage(Sequence[int]):
    """The lineage that the parts of a list have: mostly the one with which they were written."""

    __slots__ = ("items",)

    def __init__(self, items: Spilled) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    @overload
    def __getitem__(self, index: int) -> int: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[int]: ...

    def __getitem__(self, index: int | slice) -> int | Sequence[int]:
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step == 1 and stop - start > SLICE_ITEMS_MAX:
                return SpilledLineage(Spilled(self.items.cut(start, stop)))
            return [self[one] for one in range(start, stop, step)]
        if index < 0:
            index += len(self)
        if not 0 <= index < len(self):
            raise IndexError(index)
        part, ordinal = self.items.locate(index)
        return part.origin(ordinal)

    def belongs_to(self, items: Spilled) -> bool:
        """Whether it is the lineage of just these items."""
        own = self.items
        if own is items:
            return True
        same = len(own.parts) == len(items.parts)
        return same and all(one.same_as(two) for one, two in zip(own.parts, items.parts, strict=True))


class Same(Sequence[int]):
    """The same number as often as it is wanted: the lineage of items of which nobody asks where they are from."""

    __slots__ = ("_count", "value")

    def __init__(self, value: int, count: int) -> None:
        self.value, self._count = value, count

    def __len__(self) -> int:
        return self._count

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and (self.value, self._count) == (other.value, other._count)

    def __hash__(self) -> int:
        return hash((self.value, self._count))

    @overload
    def __getitem__(self, index: int) -> int: ...

    @overload
    def __getitem__(self, index: slice) -> "Same": ...

    def __getitem__(self, index: int | slice) -> "int | Same":
        if isinstance(index, slice):
            return Same(self.value, len(range(*index.indices(self._count))))
        if not -self._count <= index < self._count:
            raise IndexError(index)
        return self.value


def opened(items: ItemList, open_list: Callable[[ListRef], Chunks]) -> ItemList:
    """The list, able to be read."""
    spilled = items.items
    if not isinstance(spilled, Spilled) or spilled.opened:
        return items
    readable = Spilled(
        [
            part if part.ref is None or part.chunks is not None else replace(part, chunks=open_list(part.ref))
            for part in spilled.parts
        ]
    )
    return ItemList(readable, SpilledLineage(readable) if isinstance(items.lineage, SpilledLineage) else items.lineage)


def all_json(items: Sequence[Item], most: int = READ_ITEMS_MAX) -> list[Json]:
    """The `json` of every item. Raises ListTooLong for more than `most` items that are not in memory."""
    if isinstance(items, Spilled) and len(items) > most:
        raise ListTooLong(f"The list has {len(items):,} items; at most {most:,} can be read at once.")
    return [item.json for item in items]
