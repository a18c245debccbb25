"""Rounds that compute for long as tasks of Ray: several at a time, and none is missed when its worker dies."""

import asyncio
import functools
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from budflow.execution.inprocess import InProcessExecutor
from budflow.model.item import Json
from ray_jobs import rounds
from ray_jobs.executor import RayExecutor
from ray_jobs.segments import RaySegments
from tests.execution.burning_nodes import burning, each
from tests.execution.heavy_nodes import open_test_runner
from tests.execution.office import RUNNER, Flow, Office
from tests.until import until

pytestmark = [pytest.mark.ray, pytest.mark.xdist_group("ray")]
#: What takes a second may be begun here too, before Ray has begun; cancelling waits for no more than one of them.
ITEMS = [{"n": number, "seconds": 0.06 if number < 4 else 1} for number in range(24)]


@pytest.fixture
async def office(ray_executor: RayExecutor, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Office]:
    """Executions advance in this process, and what takes long goes to Ray at once."""
    monkeypatch.setattr(rounds, "START_SECONDS", 0.0)
    heavy = RaySegments(functools.partial(open_test_runner, ()))
    office = Office(InProcessExecutor(open_test_runner(heavy=heavy).tools, RUNNER))
    await office.supervisor.start()
    await until(lambda: not office.supervisor.intake.queued)
    async with asyncio.timeout(60):
        yield office
    await office.supervisor.stop(0.1)


def looping(node: Json) -> Flow:
    return Flow({"each": each({"a": node})}, ["start > each"], ITEMS)


def elsewhere(folder: Path) -> set[str]:
    """The other processes that left their mark."""
    return {path.name for path in folder.iterdir()} - {str(os.getpid())}


async def numbers(office: Office, flow: Flow) -> list[int]:
    active = await office.run(flow)
    assert active.finished is not None
    assert active.finished.status == "succeeded"
    return [item["n"] for item in active.result().to_json()]


async def test_they_are_computed_by_workers_of_ray_and_keep_their_order(office: Office, tmp_path: Path) -> None:
    node = burning(seconds=0.03, mark=str(tmp_path), value="{{ $node.start.json.n }}")

    assert await numbers(office, looping(node)) == [*range(24)]
    assert elsewhere(tmp_path)


async def test_those_of_a_worker_that_died_are_run_by_the_runner(office: Office) -> None:
    assert await numbers(office, looping(burning(seconds=0.01, survivor=os.getpid()))) == [*range(24)]


async def test_cancelling_stops_the_worker(office: Office, tmp_path: Path) -> None:
    slow = burning(seconds="{{ $json.seconds }}", mark=str(tmp_path))
    active = await office.start(looping(slow))
    await until(lambda: bool(elsewhere(tmp_path)), seconds=60)
    await office.supervisor.cancel("default", active.execution.id, "test")
    async with asyncio.timeout(2):
        await active.ended

    assert active.finished is not None
    assert active.finished.status == "cancelled"


async def test_a_runner_actor_hands_them_to_other_workers(ray_executor: RayExecutor, tmp_path: Path) -> None:
    office = Office(ray_executor)
    await office.supervisor.start()
    await until(lambda: not office.supervisor.intake.queued)
    async with asyncio.timeout(60):
        assert await numbers(office, looping(burning(seconds=0.06, mark=str(tmp_path)))) == [*range(24)]
    await office.supervisor.stop(0.1)

    assert len(elsewhere(tmp_path)) > 1
