"""The corpus of attempts against the real Docker engine: containers as the runner hardens them."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from budflow.sandbox.docker.base_image import build_base
from budflow.sandbox.docker.engine import Engine
from budflow.sandbox.docker.hardening import OWNER_LABEL
from budflow.sandbox.docker.images import Images
from budflow.sandbox.docker.runner import DockerRunner
from tests.docker_engine import DockerServer
from tests.security.attempt import Attempt
from tests.security.canaries import Canaries, canaries
from tests.security.code_attempts import ATTEMPTS
from tests.security.target import Target, attacked
from tests.security.withstood import projects_are_apart, withstood

pytestmark = [pytest.mark.docker, pytest.mark.xdist_group("docker"), pytest.mark.asyncio(loop_scope="module")]

OWNER = "attacked"


@pytest.fixture(scope="module")
def watched() -> Iterator[Canaries]:
    with canaries() as standing:
        yield standing
        standing.untouched()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def target(docker_server: DockerServer, watched: Canaries) -> AsyncIterator[Target]:
    """A broker over containers; at the end no container of its is left."""
    directory = Path(tempfile.mkdtemp(prefix="budflow-"))
    engine = Engine(docker_server.url)
    await asyncio.to_thread(build_base, engine)
    runner = await DockerRunner.open(Engine(docker_server.url), OWNER, Images(engine, directory, None))
    # Of those that have to die there are two at hand, so that the next attempt need not wait for its container.
    async with attacked(runner, warm=2, workers_max=6) as attacked_one:
        yield attacked_one
    assert not await asyncio.to_thread(engine.containers_labelled, OWNER_LABEL, OWNER)
    await asyncio.to_thread(engine.close)
    await asyncio.to_thread(shutil.rmtree, directory)


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: attempt.name)
async def test_what_code_tries_is_stopped_and_the_next_code_runs(
    target: Target, attempt: Attempt, watched: Canaries
) -> None:
    await withstood(target, attempt, watched)


async def test_projects_see_nothing_of_each_other(target: Target) -> None:
    await projects_are_apart(target)
