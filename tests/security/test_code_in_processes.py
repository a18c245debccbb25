"""The corpus of attempts against the process runner: namespaces, seccomp and limits without Docker."""

import os
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from budflow.sandbox.process.runner import ProcessRunner
from tests.bubblewrap import needs_bubblewrap
from tests.security.attempt import Attempt
from tests.security.canaries import Canaries, canaries, mounts, until_nothing_is_left_of
from tests.security.code_attempts import ATTEMPTS
from tests.security.target import Target, attacked
from tests.security.withstood import projects_are_apart, withstood

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def watched() -> Iterator[Canaries]:
    """Canaries, and at the end the whole machine as it was."""
    needs_bubblewrap()
    mounted = mounts()
    with canaries() as standing:
        yield standing
        standing.untouched()
    until_nothing_is_left_of(os.getpid())
    assert mounts() <= mounted


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def target(watched: Canaries) -> AsyncIterator[Target]:
    async with attacked(ProcessRunner()) as attacked_one:
        yield attacked_one


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: attempt.name)
async def test_what_code_tries_is_stopped_and_the_next_code_runs(
    target: Target, attempt: Attempt, watched: Canaries
) -> None:
    await withstood(target, attempt, watched)


async def test_projects_see_nothing_of_each_other(target: Target) -> None:
    await projects_are_apart(target)
