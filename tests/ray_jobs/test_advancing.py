"""An execution that one task advances: whoever waits learns how that ended, and may end it."""

import asyncio

import pytest

from budflow.execution.ports import RunLetGo
from ray_jobs.advancing import Advancing
from ray_jobs.executor import RunBroken


async def forever() -> None:
    await asyncio.Event().wait()


async def test_whoever_waits_gets_what_broke_it() -> None:
    async def advance() -> None:
        raise RunBroken("It broke.")

    with pytest.raises(RunBroken):
        await Advancing(advance()).wait()


async def test_one_that_was_let_go_says_so() -> None:
    running = Advancing(forever())
    running.let_go()

    with pytest.raises(RunLetGo):
        await running.wait()
    assert running.task.cancelled()


async def test_cancelling_who_waits_gives_the_work_up() -> None:
    running = Advancing(forever())
    waiting = asyncio.ensure_future(running.wait())
    await asyncio.sleep(0)
    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert running.task.cancelled()


async def test_nobody_need_wait_for_what_breaks() -> None:
    async def advance() -> None:
        raise RunBroken("It broke.")

    running = Advancing(advance())
    await asyncio.wait([running.task])  # Python would complain of an error that nobody looked at.
