"""Real processes that lead one after the other, over PostgreSQL and Redis: killed, frozen, told to stop, cut off."""

import asyncio
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scaling.candidates import Candidates, candidates
from tests.servers import PostgresServer, RedisServer, new_database

pytestmark = [pytest.mark.process, pytest.mark.postgres, pytest.mark.redis]

SECONDS = 0.6


@pytest.fixture(scope="module")
def database(postgres_server: PostgresServer) -> str:
    return asyncio.run(new_database(postgres_server))


@pytest.fixture(scope="module", params=["database", "redis"])
def group(
    request: pytest.FixtureRequest, database: str, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Candidates]:
    """Three processes, of which two tests end one each."""
    settings = {"BUDFLOW_DATABASE_URL": database, "BUDFLOW_LEADER_SECONDS": str(SECONDS)}
    if request.param == "redis":
        settings["BUDFLOW_REDIS_URL"] = redis_server.url()
    with candidates(tmp_path_factory.mktemp(request.param), count=3, **settings) as group:
        yield group


def test_when_the_leader_is_killed_another_leads_within_the_lease(group: Candidates) -> None:
    leader = group.leader()

    killed_at = group.end(leader, signal.SIGKILL)

    assert group.first_act(killed_at, but=leader.name).at - killed_at < SECONDS + 1


def test_a_leader_that_was_frozen_finds_out_before_it_acts(group: Candidates) -> None:
    leader = group.leader()
    losses = leader.count("leader.lost")
    frozen_at = leader.tell(signal.SIGSTOP)
    other = group.first_act(frozen_at, but=leader.name)
    assert other.at - frozen_at < SECONDS + 1

    leader.tell(signal.SIGCONT)
    leader.logged("leader.lost", losses + 1)

    group.first_act(time.monotonic())  # With every look they are seen to have acted one after the other.


def test_a_leader_that_is_told_to_stop_hands_over_at_once(group: Candidates) -> None:
    leader = group.leader()

    told_at = group.end(leader, signal.SIGTERM)

    assert group.first_act(told_at, but=leader.name).at - told_at < 1
    assert leader.process.returncode == 0
    assert leader.count("leader.handed_over") == 1


def test_while_redis_is_away_nobody_leads_and_when_it_is_back_one_does(
    database: str, own_redis: RedisServer, tmp_path: Path
) -> None:
    settings = {
        "BUDFLOW_DATABASE_URL": database,
        "BUDFLOW_REDIS_URL": own_redis.url(),
        "BUDFLOW_LEADER_SECONDS": str(SECONDS),
    }
    with candidates(tmp_path, count=1, **settings) as group:
        leader = group.leader()
        losses = leader.count("leader.lost")
        own_redis.pause()
        away_at = time.monotonic()
        leader.logged("leader.lost", losses + 1)
        last = max(group.look())
        assert last.at - away_at < SECONDS

        own_redis.resume()
        first = group.first_act(last.at)

        assert first.token > last.token
        assert leader.count("leader.lease_away") == leader.count("leader.lease_back") > 0
