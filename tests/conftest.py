"""What every test may use: the session's real servers."""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.servers import CannotStart, PostgresServer, SharedPostgres, drop_database, new_database

if TYPE_CHECKING:
    from ray_jobs.executor import RayExecutor
    from tests.ray_session import RaySession

_SERVERS = "BUDFLOW_TEST_SERVERS"  # The directory that pytest's controller and its workers share.


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        os.environ[_SERVERS] = tempfile.mkdtemp(prefix="budflow-servers-")


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput") and (directory := os.environ.pop(_SERVERS, None)):
        SharedPostgres(Path(directory)).stop()
        shutil.rmtree(directory)


@pytest.fixture(scope="session")
def postgres_server() -> PostgresServer:
    """The session's PostgreSQL. Skips by name where it cannot start; with CI=true a skip is a failure."""
    try:
        return SharedPostgres(Path(os.environ[_SERVERS])).server()
    except CannotStart as error:
        pytest.skip(str(error))


@pytest.fixture
async def postgres_url(postgres_server: PostgresServer) -> AsyncIterator[str]:
    """The URL of an empty database that belongs to this test."""
    url = await new_database(postgres_server)
    yield url
    await drop_database(postgres_server, url)


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A server for one test that stops and restarts it."""
    try:
        server = PostgresServer.start()
    except CannotStart as error:
        pytest.skip(str(error))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def ray_session() -> "Iterator[RaySession]":
    """The session's local Ray; tests that use it are marked `ray` and in the xdist group `ray`."""
    from tests.ray_session import open_session  # Imports the engine, which few tests need.

    with open_session() as session:
        yield session


@pytest.fixture
async def ray_executor(ray_session: "RaySession") -> "AsyncIterator[RayExecutor]":
    """An executor over the session's runner actors."""
    async with ray_session.executor() as executor:
        yield executor
