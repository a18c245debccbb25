"""wait_execution: until the end, until only somebody outside can go on, or for a while."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from budflow.model.execution import Execution, WaitReason
from budflow.model.identity import utc_now
from budflow.services.wait_execution import rests_on_somebody
from budflow.storage.rows import DUE
from tests.api.waits import approval, start, waiting_for
from tests.http_server import HttpServer, open_http_server
from tests.until import until


@pytest.fixture
async def server() -> AsyncIterator[HttpServer]:
    async with open_http_server() as server:
        yield server


async def test_one_that_waits_for_a_person_is_answered_at_once(server: HttpServer) -> None:
    execution_id = await start(server, approval())

    async with asyncio.timeout(5):
        answer = await server.client.get(f"/api/v1/executions/{execution_id}/wait", params={"wait_seconds": 60})

    shown = answer.json()
    assert (shown["execution"]["waiting"], shown["waits"][0]["node"]) == ("approval", "ask")


async def test_one_that_was_just_answered_is_waited_for(server: HttpServer) -> None:
    execution_id = await start(server, approval())
    url = f"/api/v1/executions/{execution_id}"

    await server.client.post(f"{url}/waits/ask/answer", json={"answer": {"approved": True}})
    ended = await server.client.get(f"{url}/wait", params={"wait_seconds": 10})

    assert ended.json()["execution"]["status"] == "succeeded"


async def test_one_that_waits_for_time_alone_is_waited_for(server: HttpServer) -> None:
    workflow_id = await server.create(waiting_for("duration", seconds=3600))
    started = await server.client.post(f"/api/v1/workflows/{workflow_id}/executions")
    execution_id = started.json()["execution"]["id"]

    async def rests() -> bool:
        row = await server.runtime.services.store.get_execution("default", execution_id)
        return row is not None and row.status == "waiting"

    await until(rests)
    url = f"/api/v1/executions/{execution_id}/wait"
    waited = asyncio.create_task(server.client.get(url, params={"wait_seconds": 60}))
    await server.client.post(f"/api/v1/executions/{execution_id}/cancel")

    assert (await waited).json()["execution"]["status"] == "cancelled"


@pytest.mark.parametrize(
    ("reason", "wake_at", "rests"),
    [
        ("approval", None, True),
        ("form", utc_now() + timedelta(hours=1), True),
        ("paused", None, True),
        ("approval", DUE, False),
        ("timer", None, False),
        ("child", None, False),
    ],
)
def test_what_is_due_or_goes_on_by_itself_rests_on_nobody(reason: WaitReason, wake_at: object, rests: bool) -> None:
    row = Execution("exe_1", "default", "wf_1", 1, "api", "waiting", utc_now(), waiting=reason, wake_at=wake_at)  # type: ignore[arg-type] # a datetime or None

    assert rests_on_somebody(row) is rests
