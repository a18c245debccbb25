"""The actor of a worker's pool, in this process: what it is handed, who keeps it, and that its name is no identity."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from budflow.credentials.settings_hand_over import Given, SettingsNotHandedOver, seal_settings
from budflow.execution.hand_over import TicketRefused
from budflow.model.execution import ClaimLost
from budflow.settings import Settings
from budflow.storage.blobs.marker import KEY_NAME, BlobsNotShared, mark
from budflow.storage.postgres.store import PostgresStore
from ray_jobs import cluster_runner
from ray_jobs.cluster_runner import ClusterRunner, offer_info
from tests.storage.journals import end, queued
from tests.until import until

pytestmark = pytest.mark.postgres

NAME = "budflow-runner-0123456789ab-0"


@pytest.fixture
async def store(postgres_url: str) -> AsyncIterator[PostgresStore]:
    opened = await PostgresStore.open(postgres_url)
    yield opened
    await opened.close()


@pytest.fixture
async def settings(postgres_url: str, tmp_path: Path, store: PostgresStore) -> Settings:
    mark(tmp_path / "blobs", await store.get_server_key(KEY_NAME))
    return Settings(database_url=postgres_url, data_dir=tmp_path, lease_seconds=1.0)


@pytest.fixture
async def runners(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[ClusterRunner]]:
    """Two processes of one name, as there are when Ray takes a living actor for dead. They end before the database."""
    monkeypatch.setattr(cluster_runner, "configure", lambda level: None)  # The logs of this process are pytest's.
    both = [ClusterRunner(NAME, "a" * 56), ClusterRunner(NAME, "b" * 56)]
    yield both
    for runner in both:
        runner._watching.cancel()
        await runner._drain(0)


async def provision(runner: ClusterRunner, settings: Settings) -> None:
    key = await runner.offer()
    await runner.provision(key, seal_settings(Given(settings), key, offer_info(NAME)))


async def test_it_is_empty_until_it_is_handed_its_settings(runners: list[ClusterRunner], settings: Settings) -> None:
    runner = runners[0]
    assert (await runner.look("k1")).state == "empty"
    with pytest.raises(TicketRefused):
        await runner.hand_over_to_segment(1, b"{}")

    await provision(runner, settings)

    status = await runner.look("k1")
    assert (status.state, status.running, status.running_max) == ("running", 0, settings.running_max)
    assert status.runner is not None


async def test_it_gives_up_nothing_that_it_does_not_hold(runners: list[ClusterRunner], settings: Settings) -> None:
    assert not await runners[0].drop("exe_1", 2)
    await provision(runners[0], settings)
    assert not await runners[0].drop("exe_1", 2)


async def test_its_row_says_where_it_is(runners: list[ClusterRunner], settings: Settings, store: PostgresStore) -> None:
    await provision(runners[0], settings)

    [row] = await store.list_runners()

    assert (row.kind, row.pid) == ("ray", (await runners[0].look("k1")).place.pid)
    assert (row.details["actor"], row.details["ray_node"]) == (NAME, "a" * 56)


async def test_each_key_that_it_offers_is_good_for_once(runners: list[ClusterRunner], settings: Settings) -> None:
    runner = runners[0]
    key = await runner.offer()
    sealed = seal_settings(Given(settings), key, offer_info(NAME))
    await runner.provision(key, sealed)

    for used in (key, b"k" * 32):
        with pytest.raises(SettingsNotHandedOver):
            await runner.provision(used, sealed)


async def test_several_workers_that_provision_it_at_once_open_one_runner(
    runners: list[ClusterRunner], settings: Settings, store: PostgresStore
) -> None:
    await asyncio.gather(*(provision(runners[0], settings) for _ in range(3)))

    assert len(await store.list_runners()) == 1


async def test_it_is_as_empty_as_before_where_it_could_not_be_opened(
    runners: list[ClusterRunner], settings: Settings, tmp_path: Path
) -> None:
    elsewhere = settings.model_copy(update={"data_dir": tmp_path / "elsewhere"})
    with pytest.raises(BlobsNotShared):
        await provision(runners[0], elsewhere)
    assert (await runners[0].look("k1")).state == "empty"

    await provision(runners[0], settings)
    assert (await runners[0].look("k1")).state == "running"


async def test_it_stays_while_another_worker_keeps_it(runners: list[ClusterRunner], settings: Settings) -> None:
    runner = runners[0]
    await provision(runner, settings)
    await runner.look("k1")
    assert (await runner.look("k2")).keepers == 2

    assert await runner.leave("k1", 0) is False

    assert (await runner.look("k2")).state == "running"


async def test_a_worker_that_was_killed_keeps_it_no_more(
    runners: list[ClusterRunner], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_runner, "KEEPER_SECONDS", 0.0)
    await runners[0].look("killed")

    assert (await runners[0].look("k2")).keepers <= 1


async def test_two_processes_of_one_name_are_two_runners_and_nothing_is_done_twice(
    runners: list[ClusterRunner], settings: Settings, store: PostgresStore
) -> None:
    await asyncio.gather(*(provision(runner, settings) for runner in runners))
    one, other = [(await runner.look("k1")).runner for runner in runners]
    assert one is not None
    assert other is not None
    assert one != other
    for runner in runners:  # From now on this test is what they do, so that it says when.
        assert runner._worker is not None
        runner._worker.supervisor.holding.stopping = True
        runner._worker.supervisor.intake.look()
    await until(lambda: _both_stopped(runners))

    execution = await queued(store)
    [(claim, _)] = await store.claim(one, limit=1)
    assert await store.claim(other, limit=1) == []
    await runners[0]._drain(0)  # Its lease has gone; what it held is for the other.
    await store.release_dead(other)
    [(later, _)] = await store.claim(other, limit=1)

    assert (later.execution_id, later.token > claim.token) == (execution.id, True)
    with pytest.raises(ClaimLost):
        await store.append(end(claim))
    await store.append(end(later))


def _both_stopped(runners: list[ClusterRunner]) -> bool:
    """Whether neither claims any more, nor is about to."""
    workers = [runner._worker for runner in runners if runner._worker is not None]
    tasks = [task for worker in workers for task in worker.supervisor._tasks]
    return not any(getattr(task.get_coro(), "__name__", "") == "claim_forever" for task in tasks)
