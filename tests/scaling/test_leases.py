"""Leases on leading over every adapter: one leads at a time, and who leads no more cannot renew."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from budflow.model.identity import utc_now
from budflow.scaling.leader import LeaderLease
from budflow.scaling.redis_lease import RedisLease
from budflow.scaling.store_lease import StoreLease
from budflow.services.ports import Store
from budflow.storage.memory.store import MemoryStore
from budflow.storage.postgres.store import PostgresStore
from budflow.storage.sqlite.store import SqliteStore
from tests.servers import RedisServer
from tests.until import until

LONG, SHORT = 60.0, 0.02


@pytest.fixture(
    params=[
        "memory",
        "sqlite",
        pytest.param("postgres", marks=pytest.mark.postgres),
        pytest.param("redis", marks=pytest.mark.redis),
    ]
)
def open_pair(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], AsyncIterator[list[LeaderLease]]]:
    """Opens the lease as two processes would; not async itself, because it asks for fixtures by name."""
    if request.param == "redis":
        url = SecretStr(request.getfixturevalue("redis_url"))
        return lambda: _redis_pair(url)
    database = request.getfixturevalue("postgres_url") if request.param == "postgres" else tmp_path / "budflow.db"
    return lambda: _store_pair(request.param, database)


async def _redis_pair(url: SecretStr) -> AsyncIterator[list[LeaderLease]]:
    pair: list[LeaderLease] = [RedisLease(url, "abc"), RedisLease(url, "abc")]
    yield pair
    for lease in pair:
        await lease.close()


async def _store_pair(kind: str, database: Path | str) -> AsyncIterator[list[LeaderLease]]:
    store: Store
    if kind == "postgres":
        store = await PostgresStore.open(str(database))
    elif kind == "sqlite":
        store = await SqliteStore.open(Path(database))
    else:
        store = MemoryStore()
    yield [StoreLease(store), StoreLease(store)]
    await store.close()


@pytest.fixture
async def pair(open_pair: Callable[[], AsyncIterator[list[LeaderLease]]]) -> AsyncIterator[list[LeaderLease]]:
    async for opened in open_pair():
        yield opened


async def test_one_leads_until_it_gives_the_lease_back(pair: list[LeaderLease]) -> None:
    one, two = pair

    token = await one.acquire("run_1", seconds=LONG)
    assert token is not None
    assert await two.acquire("run_2", seconds=LONG) is None

    await one.release("run_1")
    later = await two.acquire("run_2", seconds=LONG)
    assert later is not None
    assert later > token
    assert await one.acquire("run_1", seconds=LONG) is None


async def test_everybody_can_read_who_leads(pair: list[LeaderLease]) -> None:
    one, two = pair
    assert await two.current() is None

    token = await one.acquire("run_1 of here", seconds=LONG)
    row = await two.current()

    assert row is not None
    assert (row.holder, row.token) == ("run_1 of here", token)
    assert row.until is not None
    assert abs(row.until - utc_now() - timedelta(seconds=LONG)) < timedelta(seconds=5)
    await two.release("run_2")  # It is another's.
    assert await two.current() == row
    await one.release("run_1 of here")
    assert await two.current() is None


async def test_a_lease_that_ran_out_goes_to_whoever_asks_and_cannot_be_renewed(pair: list[LeaderLease]) -> None:
    one, two = pair
    old = await one.acquire("run_1", seconds=SHORT)
    assert old is not None

    async def free() -> bool:
        return await two.current() is None

    await until(free)
    assert await one.renew(old, seconds=LONG) is False
    new = await two.acquire("run_2", seconds=LONG)

    assert new is not None
    assert new > old
    assert await one.renew(old, seconds=LONG) is False
    await one.release("run_1")  # It is not its own any more.
    assert await two.renew(new, seconds=LONG) is True


async def test_a_renewal_puts_the_end_off(pair: list[LeaderLease]) -> None:
    one, two = pair
    token = await one.acquire("run_1", seconds=2)
    assert token is not None

    assert await one.renew(token, seconds=LONG) is True

    row = await two.current()
    assert row is not None
    assert row.until is not None
    assert row.until > utc_now() + timedelta(seconds=LONG / 2)


async def test_a_renewal_that_comes_after_the_release_is_refused(pair: list[LeaderLease]) -> None:
    one, _ = pair
    token = await one.acquire("run_1", seconds=LONG)
    assert token is not None
    await one.release("run_1")

    assert await one.renew(token, seconds=LONG) is False
    assert await one.current() is None


async def test_who_leads_may_ask_again_when_the_answer_got_lost(pair: list[LeaderLease]) -> None:
    one, two = pair
    lost = await one.acquire("run_1", seconds=LONG)
    again = await one.acquire("run_1", seconds=LONG)

    assert lost is not None
    assert again is not None
    assert again > lost
    assert await one.renew(lost, seconds=LONG) is False
    assert await two.acquire("run_2", seconds=LONG) is None


async def test_of_many_that_ask_at_once_one_leads(pair: list[LeaderLease]) -> None:
    tokens = await asyncio.gather(*(pair[i % 2].acquire(f"run_{i}", seconds=LONG) for i in range(20)))

    [token] = [token for token in tokens if token is not None]
    assert await pair[0].renew(token, seconds=LONG)


async def test_the_token_only_grows(pair: list[LeaderLease]) -> None:
    tokens = []
    for turn in range(6):
        token = await pair[turn % 2].acquire(f"run_{turn}", seconds=LONG)
        assert token is not None
        tokens.append(token)
        await pair[turn % 2].release(f"run_{turn}")

    assert tokens == sorted(set(tokens))


@pytest.mark.redis
async def test_the_token_grows_also_where_redis_lost_all_it_had(own_redis: RedisServer) -> None:
    lease = RedisLease(SecretStr(own_redis.url()), "abc")
    before = await lease.acquire("run_1", seconds=LONG)
    await lease.close()
    own_redis.pause()
    own_redis.resume()

    lease = RedisLease(SecretStr(own_redis.url()), "abc")
    after = await lease.acquire("run_2", seconds=LONG)
    await lease.close()

    assert before is not None
    assert after is not None
    assert after > before


@pytest.mark.redis
async def test_installations_that_share_a_redis_have_leaders_of_their_own(redis_url: str) -> None:
    one, two = (RedisLease(SecretStr(redis_url), name) for name in ("abc", "def"))

    assert await one.acquire("run_1", seconds=LONG)
    assert await two.acquire("run_2", seconds=LONG)

    await one.close()
    await two.close()
