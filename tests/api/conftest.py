"""What the tests of the HTTP API share: a server over a store in memory, and something to wait for."""

from collections.abc import AsyncIterator

import pytest

from tests.gate import Gate, open_gate
from tests.http_server import HttpServer, open_http_server


@pytest.fixture
async def server() -> AsyncIterator[HttpServer]:
    async with open_http_server(http_allow=("127.0.0.1",)) as server:
        yield server


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    async with open_gate() as gate:
        yield gate
