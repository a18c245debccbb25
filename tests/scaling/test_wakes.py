"""What every way of telling each other promises: in this process only, over PostgreSQL, over Redis."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import create_async_engine

from budflow.execution.wakes import Topic
from budflow.scaling.open import open_wakes
from budflow.scaling.wakes_between import WakesBetween
from budflow.scaling.wakes_here import WakesHere
from budflow.services.ports import Store
from budflow.settings import Settings
from budflow.storage.memory.store import MemoryStore
from budflow.storage.postgres.driver import driver_arguments
from tests.until import until

AnyWakes = WakesHere | WakesBetween


class SharedMemoryStore(MemoryStore):
    """One of which only the driver's connections lead to a database: migrating it would take longer than the test."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._engine = create_async_engine(url.replace("postgresql:", "postgresql+asyncpg:"))

    def driver_arguments(self) -> dict[str, Any]:
        return driver_arguments(self._engine)


class Processes:
    """Opens the wake-ups of one installation, as each of its processes does."""

    def __init__(self, settings: Settings, store: Store, stack: AsyncExitStack, *, alone: bool) -> None:
        self._settings, self._store, self._stack, self.alone = settings, store, stack, alone
        self._only: AnyWakes | None = None

    async def open(self) -> AnyWakes:
        """Those of one more process; where there is only one, the same again."""
        if self.alone and self._only is not None:
            return self._only
        self._only = wakes = await self._stack.enter_async_context(self.one())
        await until(lambda: wakes.hears)
        return wakes

    def one(self) -> AbstractAsyncContextManager[AnyWakes]:
        """Those of a process that may go before the others."""
        return open_wakes(self._settings, self._store)


@pytest.fixture(
    params=[
        "here",
        pytest.param("postgresql", marks=pytest.mark.postgres),
        pytest.param("redis", marks=pytest.mark.redis),
    ]
)
def way(request: pytest.FixtureRequest) -> tuple[str, str | None]:
    """What is used, and its URL; not async itself, because it asks for fixtures by name."""
    name: str = request.param
    fixture = {"postgresql": "postgres_url", "redis": "redis_url"}.get(name)
    return name, None if fixture is None else request.getfixturevalue(fixture)


@pytest.fixture
async def processes(way: tuple[str, str | None], tmp_path: Path) -> AsyncIterator[Processes]:
    name, url = way
    settings = Settings(
        data_dir=tmp_path,
        database_url=url if name == "postgresql" else None,
        redis_url=SecretStr(url) if url is not None and name == "redis" else None,
    )
    store = SharedMemoryStore(url) if url is not None and name == "postgresql" else MemoryStore()
    async with AsyncExitStack() as stack:
        yield Processes(settings, store, stack, alone=name == "here")


def note(wakes: AnyWakes, topic: Topic) -> list[str]:
    """The subjects that are heard from now on."""
    heard: list[str] = []
    wakes.listen(topic, heard.append)
    return heard


async def test_the_way_is_the_one_of_the_settings(processes: Processes, way: tuple[str, str | None]) -> None:
    assert (await processes.open()).name == way[0]


async def test_what_one_tells_everybody_hears_itself_too(processes: Processes) -> None:
    one, other = await processes.open(), await processes.open()
    here, there = note(one, "execution"), note(other, "execution")
    one.tell("execution", "exe_1")
    await until(lambda: "exe_1" in here and "exe_1" in there)

    other.tell("execution", "exe_2")
    await until(lambda: "exe_2" in here and "exe_2" in there)
    assert set(here) == set(there) == {"exe_1", "exe_2"}


async def test_only_those_who_listen_to_a_topic_hear_of_it(processes: Processes) -> None:
    one, other = await processes.open(), await processes.open()
    queue, triggers = note(other, "queue"), note(other, "triggers")
    one.tell("queue")
    one.tell("triggers", "wf_1")
    await until(lambda: bool(queue and triggers))

    assert (set(queue), set(triggers)) == ({""}, {"wf_1"})


async def test_nobody_is_called_inside_of_who_tells_nor_after_the_end(processes: Processes) -> None:
    wakes = await processes.open()
    heard: list[str] = []
    end = wakes.listen("signals", heard.append)
    wakes.tell("signals", "exe_1")
    assert not heard
    end()
    end()
    after = note(wakes, "signals")
    wakes.tell("signals", "exe_2")
    await until(lambda: "exe_2" in after)

    assert not heard


async def test_a_listener_that_fails_does_not_keep_the_others_from_hearing(
    processes: Processes, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: str) -> None:
        raise ValueError("on purpose")

    one, other = await processes.open(), await processes.open()
    other.listen("leader", fail)
    heard = note(other, "leader")
    one.tell("leader")
    await until(lambda: bool(heard))

    assert "on purpose" in caplog.text


async def test_a_burst_is_heard_whole(processes: Processes) -> None:
    one, other = await processes.open(), await processes.open()
    heard = note(other, "execution")
    subjects = {f"exe_{number:032x}" for number in range(1000)}
    for subject in subjects:
        one.tell("execution", subject)
    await until(lambda: subjects <= set(heard))

    assert len(heard) == len(subjects)


async def test_whatever_the_subject_it_is_heard_that_something_changed(processes: Processes) -> None:
    one, other = await processes.open(), await processes.open()
    heard = note(other, "triggers")
    for subject in ("é" * 10_000, "\x00", "\ud800", 'a"b\\c'):
        before = len(heard)
        one.tell("triggers", subject)
        await until(lambda before=before: len(heard) > before)  # type: ignore[misc] # bound as it is now


async def test_what_is_told_last_is_heard_although_the_teller_goes(processes: Processes) -> None:
    staying = await processes.open()
    heard = note(staying, "leader")
    async with processes.one() as going:
        (staying if processes.alone else going).tell("leader", "run_gone")
    await until(lambda: "run_gone" in heard)
