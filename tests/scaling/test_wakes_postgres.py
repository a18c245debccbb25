"""LISTEN and NOTIFY on a PostgreSQL that restarts, ends single connections, or stands behind a proxy that pools."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from budflow.scaling.wakes_between import WakesBetween, open_between
from budflow.scaling.wakes_postgres import PostgresChannel
from tests.servers import PostgresServer
from tests.until import until

pytestmark = pytest.mark.postgres

_SESSIONS = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
_LISTENING = f"{_SESSIONS} AND query LIKE 'LISTEN%'"
_SENDING = f"{_SESSIONS} AND query LIKE '%pg_notify%'"


@asynccontextmanager
async def wakes_at(url: str) -> AsyncIterator[WakesBetween]:
    async with open_between(PostgresChannel({"dsn": url})) as wakes:
        await until(lambda: wakes.hears)
        yield wakes


async def end_sessions(url: str, which: str) -> int:
    """As an administrator: end the sessions that the query finds; how many."""
    connection = await asyncpg.connect(url)
    try:
        ended: int = await connection.fetchval(f"SELECT count(pg_terminate_backend(pid)) FROM ({which}) AS found")
        return ended
    finally:
        await connection.close()


async def test_who_lost_the_connection_listens_again_and_is_told_that_it_may_have_missed_some(
    postgres_url: str,
) -> None:
    async with wakes_at(postgres_url) as one, wakes_at(postgres_url) as other:
        heard: list[str] = []
        other.listen("signals", heard.append)
        assert await end_sessions(postgres_url, _LISTENING) == 2
        await until(lambda: heard == [""])
        one.tell("signals", "exe_1")
        await until(lambda: heard == ["", "exe_1"])


async def test_what_is_told_over_a_connection_that_was_ended_is_told_over_a_new_one(postgres_url: str) -> None:
    async with wakes_at(postgres_url) as one, wakes_at(postgres_url) as other:
        heard: list[str] = []
        other.listen("signals", heard.append)
        one.tell("signals", "exe_1")
        await until(lambda: heard == ["exe_1"])
        assert await end_sessions(postgres_url, _SENDING) == 2
        one.tell("signals", "exe_2")
        await until(lambda: "exe_2" in heard)


async def test_a_restart_is_survived_and_what_was_told_meanwhile_is_not_lost_on_anybody(
    own_postgres: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with wakes_at(own_postgres.url()) as one, wakes_at(own_postgres.url()) as other:
        heard: list[str] = []
        other.listen("queue", heard.append)
        await asyncio.to_thread(own_postgres.pause)
        await until(lambda: not one.hears and not other.hears)
        one.tell("queue")
        await asyncio.to_thread(own_postgres.resume)
        await until(lambda: bool(heard) and one.hears and other.hears)

    assert str(own_postgres.port) not in caplog.text, "no address is logged"


async def test_a_proxy_that_pools_transactions_is_noticed(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def lost_on_another_session(*_: object) -> None:
        """LISTEN went to a session that the proxy has lent to somebody else since."""

    monkeypatch.setattr(asyncpg.Connection, "add_listener", lost_on_another_session)
    async with open_between(PostgresChannel({"dsn": postgres_url}), echo_seconds=0.1) as wakes:
        await until(lambda: "wakes.deaf" in caplog.text)
        assert not wakes.hears
