"""Images are prepared once for all who wait for them, and not at all when nobody waits any more."""

import asyncio
from collections.abc import Sequence

import pytest

from budflow.model.sandbox import RequirementsFailed
from budflow.sandbox.images import Images
from budflow.sandbox.runners import OnProgress
from tests.sandbox.fake_workers import FakeRunner
from tests.until import until


class Slow(FakeRunner):
    """Prepares when it is told to go on."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()
        self.given_up = 0

    async def prepare(self, requirements: Sequence[str], on_progress: OnProgress) -> str:
        self.prepared.append(tuple(requirements))
        on_progress("Installing")
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        if "nonsense" in requirements:
            raise RequirementsFailed
        return f"image {len(self.prepared)}"


async def test_several_who_want_the_same_wait_for_one_build() -> None:
    runner = Slow()
    images = Images(runner)
    told: list[str] = []
    waiting = [asyncio.create_task(images.image(("a", "b"), told.append)) for _ in range(3)]
    await until(lambda: len(runner.prepared) == 1)
    runner.go.set()

    assert await asyncio.gather(*waiting) == ["image 1"] * 3
    assert await images.image(("b", "a", "a"), told.append) == "image 1"
    assert runner.prepared == [("a", "b")]
    assert "Installing" in told


async def test_one_that_gives_up_leaves_the_build_to_the_others() -> None:
    runner = Slow()
    images = Images(runner)
    first, second = (asyncio.create_task(images.image(("a",), lambda _: None)) for _ in range(2))
    await until(lambda: len(runner.prepared) == 1)

    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    runner.go.set()

    assert await second == "image 1"


async def test_a_build_that_nobody_waits_for_ends_and_the_next_one_begins_anew() -> None:
    runner = Slow()
    images = Images(runner)
    only = asyncio.create_task(images.image(("a",), lambda _: None))
    await until(lambda: len(runner.prepared) == 1)
    only.cancel()
    await asyncio.gather(only, return_exceptions=True)
    runner.go.set()

    assert await images.image(("a",), lambda _: None) == "image 2"
    assert runner.given_up == 1


async def test_a_failure_is_told_to_all_and_not_remembered() -> None:
    runner = Slow()
    images = Images(runner)
    runner.go.set()

    for _ in range(2):
        with pytest.raises(RequirementsFailed):
            await images.image(("nonsense",), lambda _: None)
    assert len(runner.prepared) == 2


async def test_one_that_was_removed_is_prepared_again() -> None:
    runner = Slow()
    images = Images(runner)
    runner.go.set()
    image = await images.image(("a",), lambda _: None)

    images.forget(image)

    assert await images.image(("a",), lambda _: None) == "image 2"
