from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from budflow.egress.client import GuardedClient
from budflow.egress.policy import AddressPolicy, parse_allow
from budflow.egress.transport import Resolve, resolve_with_system
from tests.certificate import self_signed
from tests.egress.loopback import Loopback, serving

MakeClient = Callable[..., GuardedClient]


@pytest.fixture
async def server() -> AsyncIterator[Loopback]:
    async with serving() as loopback:
        yield loopback


@pytest.fixture
async def other() -> AsyncIterator[Loopback]:
    """A second server, which no rule allows unless the test says so."""
    async with serving() as loopback:
        yield loopback


@pytest.fixture
async def make_client() -> AsyncIterator[MakeClient]:
    made: list[GuardedClient] = []

    def make(*allow: str, resolve: Resolve = resolve_with_system, **options: object) -> GuardedClient:
        made.append(GuardedClient(AddressPolicy(parse_allow(allow)), resolve=resolve, **options))  # type: ignore[arg-type]  # passed through
        return made[-1]

    yield make
    for client in made:
        await client.aclose()


@pytest.fixture
def client(make_client: MakeClient, server: Loopback) -> GuardedClient:
    return make_client(f"127.0.0.1:{server.port}")


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for api.example, its own authority, with its key in the same file."""
    path = tmp_path_factory.mktemp("tls") / "api.pem"
    path.write_bytes(b"".join(self_signed("api.example")))
    return path
