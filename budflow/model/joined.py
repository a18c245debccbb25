"""Lists made of other lists: joined, cut, changed as a whole. What stands in blobs is referred to, never read."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import accumulate

from budflow.model.item import Item, ItemError, ItemList
from budflow.model.spilled import Part, Same, Spilled, SpilledLineage


def made_from(items: ItemList, source: int) -> ItemList:
    """The same items, all made from one (-1: from none)."""
    size = len(items)
    return ItemList(items.items, Same(source, size) if isinstance(items.items, Spilled) else [source] * size)


def with_error(items: ItemList, error: ItemError) -> ItemList:
    """The same items, each with this error set."""
    if isinstance(items.items, Spilled):
        return ItemList(Spilled([replace(part, error=error) for part in items.items.parts]), items.lineage)
    return ItemList([item._replace(error=error) for item in items.items], items.lineage)


def chained(lists: Sequence[ItemList]) -> Sequence[Item]:
    """The items of several lists, one list after the other; of a single one its very own."""
    if len(lists) == 1:
        return lists[0].items
    if not any(isinstance(part.items, Spilled) for part in lists):
        return [item for part in lists for item in part.items]
    parts: list[Part] = []
    for one in lists:
        if isinstance(one.items, Spilled):
            parts.extend(one.items.parts)
        else:
            parts.append(Part(0, len(one), items=one.items))
    return Spilled(parts)


def join(lists: Sequence[ItemList]) -> ItemList:
    """Several lists as one, in the given order.

    The result's lineage means nothing: a single list keeps its own, which belongs to the node that made it.
    """
    if len(lists) == 1:
        return lists[0]
    items = chained(lists)
    return ItemList(items, Same(-1, len(items)))


def gathered(lists: Iterable[ItemList]) -> ItemList:
    """Several lists as one, every item with its lineage. What stands in blobs is not read."""
    some = [one for one in lists if len(one)]
    if len(some) == 1:
        return some[0]
    if not any(isinstance(one.items, Spilled) for one in some):
        return ItemList(chained(some), [ordinal for one in some for ordinal in one.lineage])
    return of_parts(part for one in some for part in parts_of(one))


def of_parts(parts: Iterable[Part]) -> ItemList:
    """A list of parts that know their lineage; those that go on in the same stored list become one."""
    joined: list[Part] = []
    for part in parts:
        merged = joined[-1].with_next(part) if joined else None
        if merged is None:
            joined.append(part)
        else:
            joined[-1] = merged
    items = Spilled(joined)
    return ItemList(items, SpilledLineage(items))


def parts_of(items: ItemList) -> Sequence[Part]:
    """A list as parts, each of which knows its lineage."""
    if not isinstance(items.items, Spilled):
        return (Part(0, len(items), items=items.items, lineage=items.lineage),)
    if isinstance(items.lineage, SpilledLineage) and items.lineage.belongs_to(items.items):
        return items.items.parts
    starts = accumulate((len(part) for part in items.items.parts), initial=0)
    return [
        replace(part, lineage=items.lineage[start : start + len(part)])
        for part, start in zip(items.items.parts, starts, strict=False)  # The last start is the end.
    ]


def part_of(items: ItemList, start: int, stop: int) -> ItemList:
    """The items from `start` up to `stop`. What stands in blobs is not read, however little it is."""
    if not isinstance(items.items, Spilled):
        return ItemList(items.items[start:stop], items.lineage[start:stop])
    start, stop, _ = slice(start, stop).indices(len(items))
    some = Spilled(items.items.cut(start, stop))
    if isinstance(items.lineage, SpilledLineage) and items.lineage.belongs_to(items.items):
        return ItemList(some, SpilledLineage(some))
    return ItemList(some, items.lineage[start:stop])
