"""Whoever watches an execution is told of each commit, wherever it runs; of all others nothing is said."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from budflow.execution import watched as module
from budflow.execution.watched import Watched
from budflow.scaling.wakes_here import WakesHere


class Process:
    """A process that has some executions, and what it was heard to say."""

    def __init__(self, wakes: WakesHere, *here: str) -> None:
        self.here = set(here)
        self.watched = Watched(wakes, self.here.__contains__)
        self.watched.begin()


@pytest.fixture
async def wakes() -> AsyncIterator[WakesHere]:
    yield WakesHere()


@pytest.fixture(autouse=True)
def _only_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks by itself, so that what is heard was told."""
    monkeypatch.setattr(module, "LOOK_SECONDS", 60.0)


async def heard(wakes: WakesHere) -> list[tuple[str, str]]:
    said: list[tuple[str, str]] = []
    wakes.listen("watch", lambda subject: said.append(("watch", subject)))
    wakes.listen("execution", lambda subject: said.append(("execution", subject)))
    return said


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_of_an_execution_that_nobody_watches_nothing_is_said(wakes: WakesHere) -> None:
    said, process = await heard(wakes), Process(wakes, "exe_1")
    process.watched.changed("exe_1")
    process.watched.changed("exe_1", ended=True)
    await settle()

    assert said == []


async def test_who_watches_an_execution_of_its_own_process_is_told_without_the_others(wakes: WakesHere) -> None:
    said, process = await heard(wakes), Process(wakes, "exe_1")
    with process.watched.watch("exe_1") as watch:
        process.watched.changed("exe_1")
        async with asyncio.timeout(1):
            await watch.news()

    assert said == []
    process.watched.end()


async def test_who_watches_an_execution_of_another_process_is_told_by_it(wakes: WakesHere) -> None:
    watching, having = Process(wakes), Process(wakes, "exe_1", "exe_2")
    said = await heard(wakes)
    with watching.watched.watch("exe_1") as watch:
        async with asyncio.timeout(1):
            await watch.news()  # It has the execution: what was stored before it heard of the watch may be news.
        having.watched.changed("exe_2")
        having.watched.changed("exe_1", ended=True)
        async with asyncio.timeout(1):
            await watch.news()
        await settle()

    assert said == [("watch", "exe_1"), ("execution", "exe_1"), ("execution", "exe_1")]
    watching.watched.end()
    having.watched.end()


async def test_who_begins_to_watch_an_execution_just_when_it_ends_is_told_of_the_end(wakes: WakesHere) -> None:
    watching, had = Process(wakes), Process(wakes, "exe_1")
    had.here.discard("exe_1")
    had.watched.changed("exe_1", ended=True)  # Before it heard that somebody watches.
    with watching.watched.watch("exe_1") as watch:
        async with asyncio.timeout(1):
            await watch.news()

    watching.watched.end()
    had.watched.end()


async def test_of_the_ends_only_the_last_are_remembered(wakes: WakesHere, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ENDED_MAX", 2)
    had = Process(wakes)
    for number in range(3):
        had.watched.changed(f"exe_{number}", ended=True)
    said = await heard(wakes)
    for number in range(3):
        wakes.tell("watch", f"exe_{number}")
    await settle()

    assert [subject for topic, subject in said if topic == "execution"] == ["exe_1", "exe_2"]
    had.watched.end()


async def test_many_commits_are_told_as_few_and_the_last_one_is_among_them(
    wakes: WakesHere, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GAP_SECONDS", 0.02)
    said, process = await heard(wakes), Process(wakes)
    seen = 0
    with process.watched.watch("exe_1") as watch:
        await settle()
        for commit in range(1, 101):
            process.watched.changed("exe_1")
            await asyncio.sleep(0)
            if watch._news.is_set():
                await watch.news()
                seen = commit
        while seen < 100:
            async with asyncio.timeout(1):
                await watch.news()
            seen = 100

    assert 2 <= said.count(("execution", "exe_1")) < 20
    process.watched.end()


async def test_an_end_is_told_at_once(wakes: WakesHere, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GAP_SECONDS", 60.0)
    process = Process(wakes)
    with process.watched.watch("exe_1") as watch:
        await settle()
        process.watched.changed("exe_1")
        await watch.news()
        process.watched.changed("exe_1", ended=True)
        async with asyncio.timeout(1):
            await watch.news()
    process.watched.end()


async def test_when_some_may_have_been_missed_everybody_looks(wakes: WakesHere) -> None:
    process = Process(wakes)
    with process.watched.watch("exe_1") as one, process.watched.watch("exe_2") as other:
        wakes.tell("execution", "")
        async with asyncio.timeout(1):
            await one.news()
            await other.news()
    process.watched.end()


async def test_who_hears_nothing_looks_by_itself_and_less_and_less_often(
    wakes: WakesHere, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.001)
    monkeypatch.setattr(module, "LOOK_SECONDS_MAX", 0.004)
    process = Process(wakes, "exe_1")
    with process.watched.watch("exe_1") as watch:
        pauses = []
        for _ in range(4):
            pauses.append(watch._pause)
            await watch.news()

    assert pauses == [0.001, 0.002, 0.004, 0.004]


async def test_a_watch_is_repeated_and_forgotten_when_it_is_not(
    wakes: WakesHere, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.001)
    monkeypatch.setattr(module, "REPEAT_SECONDS", 0.0)
    monkeypatch.setattr(module, "REMEMBER_SECONDS", 0.02)
    said, process = await heard(wakes), Process(wakes)
    with process.watched.watch("exe_1") as watch:
        await watch.news()
        await watch.news()
    assert said.count(("watch", "exe_1")) >= 2
    await asyncio.sleep(0.05)
    said.clear()
    process.watched.changed("exe_1", ended=True)
    await settle()

    assert said == []
    assert not process.watched._here
    process.watched.end()
