"""Items of lists in blobs, in memory before anybody looks at them: an event loop must not wait for a disk or bucket."""

import asyncio
from collections.abc import Sequence

from budflow.model.item import Item
from budflow.model.spilled import Chunk, Spilled


async def reach(items: Sequence[Item], index: int) -> Chunk | None:
    """Have the chunk that holds an item in memory, where it stays for as long as this is kept; else it is read in a
    thread. None where the item is in no chunk, or behind the end. Raises BlobUnreadable, ListUnopened.
    """
    if not isinstance(items, Spilled) or index >= len(items):
        return None
    part, ordinal = items.locate(index)
    if part.ref is None:
        return None
    return part.readable.known(ordinal) or await asyncio.to_thread(part.readable.at, ordinal)


async def read_block(items: Spilled, index: int, most: int) -> Sequence[Item]:
    """See Spilled.block."""
    kept = await reach(items, index)
    block = items.block(index, most)
    del kept
    return block
