import asyncio

import pytest

from budflow.execution import queue_room
from budflow.execution.queue_room import QueueRoom
from budflow.model.execution import QueueFull
from budflow.storage.memory.store import MemoryStore
from tests.storage.journals import queued


class CountingStore(MemoryStore):
    """Counts how often it is counted."""

    counted = 0

    async def count_queued(self) -> int:
        self.counted += 1
        await asyncio.sleep(0)  # Others have their turn, as while a database answers.
        return await super().count_queued()


async def test_a_long_way_from_full_it_is_counted_once_for_many() -> None:
    store = CountingStore()
    room = QueueRoom(store, 1_000)

    for _ in range(100):
        await room.take()

    assert store.counted == 1


async def test_for_a_burst_it_is_counted_once() -> None:
    store = CountingStore()
    room = QueueRoom(store, 1_000)

    await asyncio.gather(*(room.take() for _ in range(100)))

    assert store.counted == 1


async def test_an_old_count_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_room, "COUNTED_SECONDS", 0.0)
    store = CountingStore()
    room = QueueRoom(store, 1_000)

    for _ in range(3):
        await room.take()

    assert store.counted == 3


@pytest.mark.parametrize("queued_max", [1, 2, 3, 10])
async def test_alone_it_lets_exactly_so_many_in(queued_max: int) -> None:
    store = CountingStore()
    room = QueueRoom(store, queued_max)

    for _ in range(queued_max):
        await room.take()
        await queued(store)

    with pytest.raises(QueueFull):
        await room.take()
