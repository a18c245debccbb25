"""What one run of a node gives, where that is too much for memory: moved to lists in the making, port by port."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from budflow.execution.lists import ListStore, ListWriter
from budflow.model.item import Item, ItemList
from budflow.model.item_codec import to_plain

#: As many items, or as much JSON, of a port stay in memory and in the journal.
ITEMS_MAX = 20_000
CONTENT_BYTES_MAX = 4 * 1024 * 1024
#: As much of a part of what a node gives that comes quickly after the one before: the journal could not follow.
PART_BYTES_MAX = 512 * 1024
#: How large few items are nobody asks.
SAMPLED_ITEMS_MIN = 16

Gathered = dict[str, tuple[list[Item], list[int]]]


def is_much(gathered: Mapping[str, tuple[Sequence[Item], Sequence[int]]]) -> bool:
    """Whether some port has more than is to stay in memory, as its last item makes believe."""
    return any(are_many(items) for items, _ in gathered.values())


def are_many(items: Sequence[Item], bytes_max: int | None = None) -> bool:
    """Whether these items are more than is to stay in memory, as the last one makes believe."""
    most, count = CONTENT_BYTES_MAX if bytes_max is None else bytes_max, len(items)
    return count >= ITEMS_MAX or (count >= SAMPLED_ITEMS_MIN and count * content_bytes(items[-1]) >= most)


def content_bytes(item: Item) -> int:
    """How large an item is as JSON."""
    try:
        return len(orjson.dumps(item.json, default=to_plain, option=orjson.OPT_NON_STR_KEYS))
    except orjson.JSONEncodeError:
        return 0  # Whoever writes it down says so.


class Spill:
    """The ports of one run that have had too much. Raises BlobUnwritable and EventUnwritable."""

    def __init__(self, lists: ListStore, project_id: str) -> None:
        self._lists, self._project_id = lists, project_id
        self._writers: dict[str, ListWriter] = {}
        self._writing: asyncio.Future[Any] | None = None

    async def take(self, gathered: Gathered) -> None:
        """Move away what gathered at ports that have much, or had before; the rest stays."""
        for port, (items, lineage) in gathered.items():
            if items and (port in self._writers or are_many(items)):
                gathered[port] = ([], [])
                await self._settled()  # One at a time, so that no more than two takes are in memory.
                self._writing = asyncio.ensure_future(asyncio.to_thread(self._add, port, items, lineage))

    async def finish(self, gathered: Gathered) -> dict[str, ItemList]:
        """Make what was moved durable, as lists by port; those ports are gone from `gathered`."""
        await self._settled()  # Only then is it known which ports were moved: their rest must follow.
        await self.take(gathered)
        await self._settled()
        stored: dict[str, ItemList] = {}
        for port, writer in self._writers.items():
            finishing = self._writing = asyncio.ensure_future(asyncio.to_thread(writer.finish))
            await self._settled()
            stored[port] = self._lists.stored(self._project_id, finishing.result())
            gathered.pop(port, None)
        return stored

    def close(self) -> None:
        """Leave nothing behind that was not finished."""
        if self._writing is not None and not self._writing.done():
            self._writing.add_done_callback(self._abandon)  # A thread is still at it.
        else:
            self._abandon(self._writing)

    async def _settled(self) -> None:
        if self._writing is not None:
            await asyncio.shield(self._writing)  # A thread goes on with it, whoever is cancelled here.
            self._writing = None

    def _add(self, port: str, items: Sequence[Item], lineage: Sequence[int]) -> None:
        writer = self._writers.get(port)
        if writer is None:
            writer = self._writers[port] = self._lists.open_writer(self._project_id)
        writer.add(items, lineage)

    def _abandon(self, writing: "asyncio.Future[Any] | None") -> None:
        if writing is not None and not writing.cancelled():
            writing.exception()  # Whoever closes this has a reason of their own.
        for writer in self._writers.values():
            writer.abandon()
