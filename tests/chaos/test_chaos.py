"""Three kills of each fault on one real installation on a Ray cluster, under load; `make chaos` does twenty."""

import asyncio
from collections.abc import Iterator
from random import Random

import pytest

from tests.chaos.campaign import run
from tests.chaos.faults import FAULTS, kill_actor
from tests.chaos.stage import Stage, open_stage
from tests.crash.shape import SHAPES
from tests.servers import PostgresServer, drop_database, new_database

pytestmark = [
    *(pytest.mark.process, pytest.mark.postgres, pytest.mark.redis, pytest.mark.ray),
    pytest.mark.xdist_group("ray"),
]

KILLS = 3
SEED = 5
LEASE_SECONDS = 2.0
ALIVE_SECONDS = (0.3, 0.6)
PER_SECOND = 4.0
#: Short ones, some of which run at a main and the others in actors.
BRIEF = tuple(SHAPES[name] for name in ("chain", "answer", "last_node", "branches", "wait"))


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer) -> Iterator[Stage]:
    url = asyncio.run(new_database(postgres_server))
    try:
        with open_stage(tmp_path_factory.mktemp("chaos"), url, lease_seconds=LEASE_SECONDS, hasty=True) as stage:
            yield stage
    finally:
        asyncio.run(drop_database(postgres_server, url))


@pytest.mark.parametrize("fault", FAULTS)
def test_nothing_is_lost_stuck_or_doubled(stage: Stage, fault: str) -> None:
    row = run(
        stage,
        FAULTS[fault],
        kills=KILLS,
        seed=SEED,
        alive_seconds=ALIVE_SECONDS,
        shapes=BRIEF,
        per_second=PER_SECOND,
    )

    assert row.verdict.kills == KILLS
    assert row.verdict.findings == []
    assert row.verdict.recovery_seconds, "nothing was hit"
    if fault == "head":  # It rules where it replaces an actor that dies.
        kill_actor(stage, Random(SEED))
        stage.wait_until_up()
