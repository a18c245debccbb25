"""Frames on their way out of a relay: in order, none lost, and not more of them than Ray takes."""

import asyncio

from budflow.model.item import Json
from ray_jobs.sandbox_relay import FRAMES_MAX, FrameLog, Frames


async def test_what_waits_is_taken_together_and_in_order() -> None:
    frames = Frames()
    log = FrameLog(frames)
    log.debug("first", n=1)
    log.for_item(3).error("second")

    assert await frames.take() == [{"log": ["debug", "first", {"n": 1}, None]}, {"log": ["error", "second", {}, 3]}]


async def test_who_takes_waits_for_what_comes() -> None:
    frames = Frames()
    taking = asyncio.create_task(frames.take())
    await asyncio.sleep(0)

    FrameLog(frames).info("now")
    FrameLog(frames).warning("and this")

    assert [frame["log"][1] for frame in await taking] == ["now", "and this"]


async def test_the_end_comes_after_all_that_was_said() -> None:
    frames = Frames()
    frames.add({"n": 1})
    frames.end()

    assert await frames.take() == [{"n": 1}]
    assert await frames.take() == []


async def test_who_gives_waits_while_too_many_wait() -> None:
    frames, taken = Frames(), list[Json]()

    async def give() -> None:
        for number in range(3 * FRAMES_MAX):
            frames.add({"n": number})
            await frames.room()
        frames.end()

    giving = asyncio.create_task(give())
    while message := await frames.take():
        assert len(message) <= FRAMES_MAX
        taken += message
        await asyncio.sleep(0)
    await giving

    assert taken == [{"n": number} for number in range(3 * FRAMES_MAX)]
