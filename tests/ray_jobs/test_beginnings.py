"""A segment that begins says so to a runner on the same machine, and knows where it is not heard."""

from collections.abc import AsyncIterator

import pytest

from ray_jobs.beginnings import Beginnings, say_begun
from tests.until import until

MANY = 10_000


@pytest.fixture
def heard() -> list[int]:
    """The numbers of the segments that have begun, as far as the runner knows."""
    return []


@pytest.fixture
async def beginnings(heard: list[int]) -> AsyncIterator[Beginnings]:
    opened = Beginnings(heard.append)
    yield opened
    opened.close()


async def test_the_runner_hears_which_segments_have_begun(beginnings: Beginnings, heard: list[int]) -> None:
    assert say_begun(beginnings.name, 1)
    assert say_begun(beginnings.name, 2**48)

    await until(lambda: heard == [1, 2**48])


async def test_a_segment_on_another_machine_knows_that_it_is_not_heard() -> None:
    assert not say_begun("budflow-of-another-machine", 1)


async def test_a_segment_knows_when_its_runner_has_gone(beginnings: Beginnings) -> None:
    beginnings.close()

    assert not say_begun(beginnings.name, 1)


async def test_of_more_than_the_runner_can_take_at_once_each_knows_whether_it_is_heard(
    beginnings: Beginnings, heard: list[int]
) -> None:
    taken = [number for number in range(MANY) if say_begun(beginnings.name, number)]
    assert len(taken) < MANY

    await until(lambda: heard == taken)
