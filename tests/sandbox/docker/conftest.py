import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import pytest

from budflow.egress.policy import AddressPolicy, parse_allow
from budflow.egress.transport import checked_addresses, resolve_with_system
from budflow.sandbox.docker.base_image import build_base, image_config
from budflow.sandbox.docker.engine import Engine
from budflow.sandbox.docker.hardening import Container, container_config
from budflow.sandbox.docker.images import Images
from budflow.sandbox.docker.runner import DockerRunner
from budflow.sandbox.egress.proxy import Egress
from budflow.sandbox.runners import Limits
from tests.docker_engine import DockerServer
from tests.sandbox.docker.confined import CODE_VARIABLE, OWNER, Confined


@pytest.fixture(scope="session")
def engine(docker_server: DockerServer) -> Iterator[Engine]:
    engine = Engine(docker_server.url)
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def base_image(engine: Engine) -> str:
    """The digest of the base image, made from this Python."""
    return build_base(engine)


@pytest.fixture(scope="session")
def stand_in(engine: Engine, base_image: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image whose only program is the Python code in a variable, in place of the worker."""
    config = image_config("")
    config["Entrypoint"] = [config["Entrypoint"][0], "-I", "-c", f"import os\nexec(os.environ[{CODE_VARIABLE!r}])"]
    never_started = Container(OWNER, "build", base_image, 64, tmp_path_factory.mktemp("sockets"), Limits())
    container_id = engine.create(container_config(never_started))
    image = engine.commit(container_id, config)
    engine.remove(container_id)
    return image


@pytest.fixture
def sockets() -> Iterator[Path]:
    """A directory for a worker's sockets, with a short path that every user can read."""
    directory = Path(tempfile.mkdtemp(prefix="budflow-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def confined(engine: Engine, base_image: str, sockets: Path) -> Confined:
    """Runs code in a container like a worker's, and tells what it printed."""
    return Confined(engine, base_image, sockets)


@pytest.fixture
async def runner(
    engine: Engine, docker_server: DockerServer, base_image: str, tmp_path: Path
) -> AsyncIterator[DockerRunner]:
    runner = await DockerRunner.open(Engine(docker_server.url), OWNER, Images(engine, tmp_path, None, base_image))
    yield runner
    async with asyncio.timeout(30):
        await runner.close()


@pytest.fixture
def egress() -> Egress:
    """A proxy that reaches loopback too, where the tests' servers are."""
    return Egress(partial(checked_addresses, AddressPolicy(parse_allow(("127.0.0.1",))), resolve_with_system))
