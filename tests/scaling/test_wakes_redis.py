"""Publish and subscribe on a Redis that is killed and started again, and on one that others use as well."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from pydantic import SecretStr

from budflow.scaling.wakes_between import WakesBetween, open_between
from budflow.scaling.wakes_redis import RedisChannel
from tests.servers import RedisServer
from tests.until import until

pytestmark = pytest.mark.redis


@asynccontextmanager
async def wakes_at(url: str, installation: str = "mine") -> AsyncIterator[WakesBetween]:
    async with open_between(RedisChannel(SecretStr(url), installation)) as wakes:
        await until(lambda: wakes.hears)
        yield wakes


async def test_another_installation_on_the_same_redis_hears_nothing_of_it(redis_url: str) -> None:
    async with wakes_at(redis_url) as one, wakes_at(redis_url) as other, wakes_at(redis_url, "theirs") as strangers:
        heard: list[str] = []
        foreign: list[str] = []
        other.listen("execution", heard.append)
        strangers.listen("execution", foreign.append)
        one.tell("execution", "exe_1")
        await until(lambda: heard == ["exe_1"])

    assert foreign == []


async def test_a_redis_that_is_killed_and_started_again_carries_again(
    own_redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with wakes_at(own_redis.url()) as one, wakes_at(own_redis.url()) as other:
        heard: list[str] = []
        other.listen("queue", heard.append)
        await asyncio.to_thread(own_redis.pause)
        await until(lambda: not one.hears and not other.hears)
        one.tell("queue")
        await asyncio.to_thread(own_redis.resume)
        await until(lambda: bool(heard) and one.hears and other.hears)
        heard.clear()
        one.tell("queue", "again")
        await until(lambda: "again" in heard)

    assert str(own_redis.port) not in caplog.text, "no address is logged"


async def test_a_connection_that_is_ended_is_opened_again(redis_server: RedisServer, redis_url: str) -> None:
    async with wakes_at(redis_url) as wakes:
        heard: list[str] = []
        wakes.listen("triggers", heard.append)
        redis_server.ask("CLIENT", "KILL", "TYPE", "pubsub")
        await until(lambda: heard == [""])
