"""The loop of simulations: what is left of one that failed does nothing more, and nothing in the next one."""

import asyncio
import gc
import sys

import pytest

from tests.execution.simulated_loop import simulate


async def tell(told: list[str]) -> None:
    told.append("began after the end")


async def fail(told: list[str]) -> None:
    """Leaves a task behind that begins another one when it ends."""
    loop = asyncio.get_running_loop()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            told.append("ended")
            left.append(loop.create_task(tell(told)))

    left = [loop.create_task(work())]
    await asyncio.sleep(1)
    raise AssertionError("on purpose")


def test_what_a_failed_one_left_behind_ends_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    warned: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda raised: warned.append(repr(raised.exc_value)))

    with pytest.raises(AssertionError, match="on purpose"):
        simulate(fail(told))

    assert told == ["ended"]
    gc.collect()
    assert (told, warned) == (["ended"], [])
