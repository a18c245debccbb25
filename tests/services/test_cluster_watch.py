"""What is kept for a moment: asked once for all who ask meanwhile, and a failure is not kept."""

import asyncio

import pytest

from budflow.services.cluster_watch import Kept, Latencies
from budflow.storage.errors import StorageUnavailable


class Source:
    """Counts how often it is read; `gate` holds the answer back."""

    def __init__(self) -> None:
        self.reads = 0
        self.gate = asyncio.Event()
        self.broken = False

    async def read(self) -> int:
        self.reads += 1
        await self.gate.wait()
        if self.broken:
            raise StorageUnavailable
        return self.reads


async def test_those_who_ask_at_once_share_one_read() -> None:
    source, kept = Source(), Kept[int](60)
    asking = [asyncio.create_task(kept.get(source.read)) for _ in range(5)]
    source.gate.set()

    assert await asyncio.gather(*asking) == [1] * 5
    assert await kept.get(source.read) == 1


async def test_what_is_old_is_read_again() -> None:
    source, kept = Source(), Kept[int](0)
    source.gate.set()

    assert [await kept.get(source.read) for _ in range(3)] == [1, 2, 3]


async def test_a_failure_is_told_and_not_kept() -> None:
    source, kept = Source(), Kept[int](60)
    source.gate.set()
    source.broken = True
    with pytest.raises(StorageUnavailable):
        await kept.get(source.read)
    source.broken = False

    assert await kept.get(source.read) == 2


async def test_one_who_leaves_does_not_end_the_read_of_the_others() -> None:
    source, kept = Source(), Kept[int](60)
    first, second = (asyncio.create_task(kept.get(source.read)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    source.gate.set()

    assert await second == 1


async def test_the_median_is_of_the_latest_answers() -> None:
    latencies = Latencies()
    source = Source()
    source.gate.set()

    async def ping() -> None:
        await source.read()

    first = await latencies.take(ping)
    again = await latencies.take(ping)

    assert (first.samples, again) == (1, first)  # Just taken.
    assert first.last_ms == first.median_ms >= 0
