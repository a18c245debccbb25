"""What every test may use: the session's real servers."""

import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.docker_engine import DockerServer
from tests.s3_server import S3Server, set_environment
from tests.servers import (
    CannotStart,
    PostgresServer,
    RedisServer,
    Shared,
    drop_database,
    new_database,
    new_redis_database,
)

if TYPE_CHECKING:
    from ray_jobs.executor import RayExecutor
    from tests.ray_cluster import RayCluster
    from tests.ray_session import RaySession

_SERVERS = "BUDFLOW_TEST_SERVERS"  # The directory that pytest's controller and its workers share.


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        os.environ[_SERVERS] = tempfile.mkdtemp(prefix="budflow-servers-")
    # A shell has its background jobs ignore Ctrl-C, and who ignores a signal has his children ignore it too.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput") and (directory := os.environ.pop(_SERVERS, None)):
        for kind in (PostgresServer, RedisServer, S3Server, DockerServer):
            Shared(Path(directory), kind).stop()
        shutil.rmtree(directory)


def pytest_itemcollected(item: pytest.Item) -> None:
    if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
        item.add_marker("generated")


@pytest.fixture(scope="session")
def postgres_server() -> PostgresServer:
    """The session's PostgreSQL. Skips by name where it cannot start; with CI=true a skip is a failure."""
    try:
        return Shared(Path(os.environ[_SERVERS]), PostgresServer).server()
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
def redis_server() -> RedisServer:
    """The session's Redis. Skips by name where it cannot start; with CI=true a skip is a failure."""
    try:
        return Shared(Path(os.environ[_SERVERS]), RedisServer).server()
    except CannotStart as error:
        pytest.skip(str(error))


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """The URL of an empty database that belongs to this test; what is published is heard by all tests."""
    return new_redis_database(redis_server)


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A server for one test that kills and restarts it, or listens to all that is published."""
    try:
        server = RedisServer.start()
    except CannotStart as error:
        pytest.skip(str(error))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def docker_server() -> DockerServer:
    """The session's Docker engine. Skips by name where it cannot start; with CI=true a skip is a failure."""
    try:
        return Shared(Path(os.environ[_SERVERS]), DockerServer).server()
    except CannotStart as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def s3_server() -> S3Server:
    """The session's S3; tests that use it ask for `s3_bucket` or `s3_url`, which set boto3's environment."""
    return Shared(Path(os.environ[_SERVERS]), S3Server).server()


@pytest.fixture
def s3_bucket(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of an empty bucket that belongs to this test."""
    set_environment(monkeypatch)
    return s3_server.new_bucket()


@pytest.fixture
def s3_url(s3_server: S3Server, s3_bucket: str) -> str:
    """A `blob_url` in it."""
    return f"s3://{s3_bucket}/blobs?endpoint_url={s3_server.address}"


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


@pytest.fixture(scope="session")
def two_nodes() -> "Iterator[RayCluster]":
    """The session's cluster of two Ray nodes with a CPU each, `side=near` and `side=far`, which alone has `far`.

    Nobody kills anything of it.
    """
    from tests.ray_cluster import ray_cluster  # Few tests need it.

    with ray_cluster("--num-cpus=1", "--labels=side=near", "--include-dashboard=false") as cluster:
        cluster.add("--num-cpus=1", "--labels=side=far", '--resources={"far": 1}')
        yield cluster
