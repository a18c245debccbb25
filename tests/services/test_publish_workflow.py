"""publish_workflow, unpublish_workflow and delete_workflow tell the other servers that triggers changed."""

from collections.abc import AsyncIterator, Awaitable

import httpx2
import pytest

from tests.http_server import HttpServer, open_http_server, workflow
from tests.until import until


@pytest.fixture
async def server() -> AsyncIterator[HttpServer]:
    async with open_http_server() as server:
        yield server


async def test_whatever_arms_or_disarms_triggers_is_told(server: HttpServer) -> None:
    told: list[str] = []
    server.runtime.services.wakes.listen("triggers", told.append)
    workflow_id = await server.create(workflow({"hook": ("trigger.webhook", {"path": "told"})}))
    url = f"/api/v1/workflows/{workflow_id}"

    async def tells(sending: Awaitable[httpx2.Response]) -> None:
        before = len(told)
        (await sending).raise_for_status()
        await until(lambda: len(told) > before)

    await tells(server.client.post(f"{url}/publish", json={}))
    await tells(server.client.post(f"{url}/unpublish", json={}))
    await tells(server.client.delete(url))
    assert told == [workflow_id] * 3
