"""Texts over a channel: in batches, kept while it is away, and with a word when some may have been missed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import orjson
import pytest

from budflow.scaling import wakes_between as module
from budflow.scaling.wakes_between import TEXT_BYTES_MAX, WakesBetween, open_between
from tests.scaling.fake_channel import FakeAir, FakeChannel
from tests.until import until

Open = Callable[[], Awaitable[WakesBetween]]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.001)
    monkeypatch.setattr(module, "RETRY_SECONDS_MAX", 0.002)


@pytest.fixture
def air() -> FakeAir:
    return FakeAir()


@pytest.fixture
async def open_(air: FakeAir) -> AsyncIterator[Open]:
    async with AsyncExitStack() as stack:

        async def open_one() -> WakesBetween:
            return await stack.enter_async_context(open_between(FakeChannel(air)))

        yield open_one


def told(air: FakeAir) -> list[list[list[str]]]:
    """What each text tells, without those that a process sends to itself."""
    texts = [orjson.loads(text) for text in air.sent]
    return [text["told"] for text in texts if "told" in text]


async def test_a_burst_is_few_texts_and_says_nothing_twice(air: FakeAir, open_: Open) -> None:
    wakes = await open_()
    for _ in range(3):
        for number in range(1000):
            wakes.tell("execution", f"exe_{number:032x}")
    await until(lambda: sum(map(len, told(air))) == 1000)

    assert len(told(air)) < 20
    assert max(len(text.encode()) for text in air.sent) <= TEXT_BYTES_MAX
    assert len({subject for text in told(air) for _, subject in text}) == 1000


async def test_what_one_hears_from_the_channel_of_itself_is_not_heard_twice(air: FakeAir, open_: Open) -> None:
    wakes = await open_()
    await until(lambda: wakes.hears)
    heard: list[str] = []
    wakes.listen("queue", heard.append)
    wakes.tell("queue")
    await until(lambda: told(air) == [[["queue", ""]]])

    assert heard == [""]


async def test_while_the_channel_is_away_what_is_told_is_kept_and_sent_when_it_is_back(
    air: FakeAir, open_: Open, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = await open_(), await open_()
    await until(lambda: one.hears and other.hears)
    heard: list[str] = []
    other.listen("signals", heard.append)
    air.down = True
    one.tell("signals", "exe_1")
    await until(lambda: air.refused > 3)
    one.tell("signals", "exe_2")
    air.down = False
    await until(lambda: len(heard) == 2)

    assert set(heard) == {"exe_1", "exe_2"}
    assert caplog.text.count("wakes.interrupted") == 1


async def test_after_a_cut_every_listener_hears_that_it_may_have_missed_some(
    air: FakeAir, open_: Open, caplog: pytest.LogCaptureFixture
) -> None:
    wakes = await open_()
    await until(lambda: wakes.hears)
    heard: list[str] = []
    wakes.listen("queue", heard.append)
    wakes.listen("triggers", heard.append)
    air.down = True
    air.cut()
    await until(lambda: not wakes.hears and air.refused > 3)
    air.down = False
    await until(lambda: heard == ["", ""])

    assert caplog.text.count("wakes.interrupted") == 1


async def test_a_channel_that_gives_nothing_back_is_noticed_and_left_alone_for_a_while(
    air: FakeAir, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "DEAF_SECONDS", 0.001)
    air.deaf = True
    wakes = WakesBetween(FakeChannel(air), check_seconds=0.001, echo_seconds=0.001)
    listening = asyncio.create_task(wakes.listen_forever())
    await until(lambda: len(air.sent) > 2)
    assert not wakes.hears
    assert caplog.text.count("wakes.deaf") == 1

    air.deaf = False
    await until(lambda: wakes.hears)
    air.deaf = True  # However alive it looks.
    await until(lambda: not wakes.hears)
    listening.cancel()


async def test_so_many_that_they_cannot_be_kept_are_told_as_topics(
    air: FakeAir, open_: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PENDING_MAX", 10)
    air.down = True
    wakes = await open_()
    for number in range(25):
        wakes.tell("execution", f"exe_{number}")
    wakes.tell("queue")
    air.down = False
    await until(lambda: bool(told(air)))

    [text] = told(air)
    assert ["execution", ""] in text
    assert len(text) <= 10


@pytest.mark.parametrize(
    "text",
    ["", "nonsense", "[]", '{"by":1}', '{"by":"x","told":[["queue"]]}', '{"by":"x","told":[["tea","ready"]],"new":1}'],
)
async def test_what_cannot_be_read_or_is_of_a_newer_release_is_passed_over(
    air: FakeAir, open_: Open, text: str
) -> None:
    wakes = await open_()
    await until(lambda: wakes.hears)
    heard: list[str] = []
    wakes.listen("queue", heard.append)
    air.listening[0].heard(text)
    air.listening[0].heard('{"by":"x","told":[["tea","ready"],["queue",""]]}')
    await until(lambda: heard == [""])


async def test_closing_waits_for_the_last_words_and_not_for_a_channel_that_is_away(air: FakeAir) -> None:
    channel = FakeChannel(air)
    async with open_between(channel) as wakes:
        wakes.tell("leader")
    assert told(air) == [[["leader", ""]]]
    assert channel.closed

    air.down = True
    async with asyncio.timeout(1), open_between(FakeChannel(air)) as wakes:
        wakes.tell("leader")
    assert told(air) == [[["leader", ""]]]
