"""Lists in blobs that are none: what was read of them is remembered."""

from collections.abc import Sequence

from budflow.model.item import Item, ItemList
from budflow.model.spilled import Chunk, ListRef, Part, Spilled, SpilledLineage


class FakeChunks:
    """A stored list of numbers in chunks of three; remembers which were read."""

    def __init__(self, values: Sequence[int]) -> None:
        self.items = [Item({"n": value}) for value in values]
        self.read: list[int] = []

    def known(self, ordinal: int) -> Chunk:
        return self.at(ordinal)

    def at(self, ordinal: int) -> Chunk:
        first = ordinal // 3 * 3
        self.read.append(first)
        items = self.items[first : first + 3]
        return Chunk(first, items, range(first, first + len(items)))

    def stop(self, ordinal: int) -> int:
        return min(len(self.items), ordinal // 3 * 3 + 3)

    def origin(self, ordinal: int) -> int:
        return ordinal * 10


def ref(size: int, name: str = "a") -> ListRef:
    return ListRef(name * 64, 100, size, 1000, 10, "f" * 64)


def stored(values: Sequence[int], name: str = "a") -> ItemList:
    items = Spilled([Part(0, len(values), ref(len(values), name), FakeChunks(values))])
    return ItemList(items, SpilledLineage(items))


def numbers(items: Sequence[Item]) -> list[int]:
    return [item.json["n"] for item in items]
