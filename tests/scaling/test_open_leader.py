"""Which lease the settings choose, and the client for Redis."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from pydantic import SecretStr

from budflow.errors import BudflowError
from budflow.scaling.installation import installation_of
from budflow.scaling.leader import Leader
from budflow.scaling.open_leader import open_leader
from budflow.scaling.redis_client import RedisUnavailable, RedisUrlRefused
from budflow.scaling.redis_lease import RedisLease
from budflow.scaling.wakes_here import WakesHere
from budflow.services.leader_ports import Leading
from budflow.settings import Settings
from budflow.storage.memory.store import MemoryStore
from tests.servers import RedisServer
from tests.until import until

DATABASE = "postgresql://budflow@db.example/budflow"
PASSWORD = "s3cr3t-4f1b9a6e"


async def leading(leader: Leader) -> Leader:
    async def work(_leading: Leading) -> None:
        await asyncio.Event().wait()

    leader.start(work)
    await until(lambda: leader.leads)
    return leader


async def test_the_owner_of_a_sqlite_file_just_leads_whatever_else_is_set() -> None:
    settings = Settings(redis_url=SecretStr("redis://nowhere.invalid"))
    leader = await leading(await open_leader(settings, MemoryStore(), WakesHere(), "run_1"))

    row = await leader.current()

    assert row is not None
    assert (row.holder, row.until) == ("run_1", None)
    await leader.stop()
    assert await leader.current() is None


async def test_without_redis_the_database_says_who_leads() -> None:
    store, wakes, settings = MemoryStore(), WakesHere(), Settings(database_url=DATABASE)
    one = await leading(await open_leader(settings, store, wakes, "run_1"))
    two = await open_leader(settings, store, wakes, "run_2")

    assert await two.current() == await store.current_lead("main")
    assert one.status()["token"] == 1
    await one.stop()
    await two.stop()


@pytest.mark.redis
async def test_where_redis_is_set_it_alone_says_who_leads(redis_url: str) -> None:
    store, settings = MemoryStore(), Settings(database_url=DATABASE, redis_url=SecretStr(redis_url))
    leader = await leading(await open_leader(settings, store, WakesHere(), "run_1"))

    row = await leader.current()

    assert row is not None
    assert row.holder == "run_1"
    assert await store.current_lead("main") is None
    await leader.stop()


async def test_an_installation_is_named_by_its_database() -> None:
    store = MemoryStore()

    name = await installation_of(store)

    assert len(name) == 16
    assert await installation_of(store) == name
    assert await installation_of(MemoryStore()) != name


@pytest.mark.parametrize("url", [f"http://:{PASSWORD}@host", f"redis://:{PASSWORD}@host:port/0", PASSWORD])
def test_a_url_that_is_none_is_refused_without_a_word_of_it(url: str) -> None:
    with pytest.raises(RedisUrlRefused) as refused:
        RedisLease(SecretStr(url), "abc")

    shown = f"{refused.value!r} {refused.value.details} {refused.value.__cause__} {refused.value.__context__}"
    assert PASSWORD not in shown
    assert PASSWORD not in repr(Settings(redis_url=SecretStr(url)))


async def test_a_redis_that_is_not_there_is_told_without_the_password() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    lease = RedisLease(SecretStr(f"redis://:{PASSWORD}@127.0.0.1:{port}/0"), "abc")
    for ask in _asking(lease):
        with pytest.raises(RedisUnavailable) as unavailable:
            await ask()
        assert PASSWORD not in f"{unavailable.value!r} {unavailable.value.__cause__!r}"
    await lease.close()


@pytest.mark.redis
async def test_a_password_that_is_refused_is_told(redis_server: RedisServer) -> None:
    redis_server.ask("ACL", "SETUSER", "somebody", "on", ">right", "~*", "+@all")
    lease = RedisLease(SecretStr(redis_server.url().replace("redis://", f"redis://somebody:{PASSWORD}@")), "abc")

    with pytest.raises(RedisUnavailable, match="AuthenticationError") as unavailable:
        await lease.current()

    assert PASSWORD not in f"{unavailable.value!r} {unavailable.value.__cause__!r}"
    assert isinstance(unavailable.value, BudflowError)
    await lease.close()


def test_a_server_without_redis_does_not_wait_for_its_import() -> None:
    look = "import sys, budflow.app; sys.exit('redis' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", look], cwd=Path(__file__).parents[2]).returncode == 0


def _asking(lease: RedisLease) -> list[Callable[[], Awaitable[object]]]:
    return [
        lambda: lease.acquire("run_1", seconds=1),
        lambda: lease.renew(1, seconds=1),
        lambda: lease.release("run_1"),
        lease.current,
    ]
