"""run_workflow over MCP."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from budflow.app import Runtime, open_temporary
from budflow.settings import Settings
from tests.mcp_server.conftest import Agent
from tests.mcp_server.documents import failing, greeting


@dataclass(frozen=True)
class Silent:
    """A server that takes requests and answers none until `over`; then it hangs up."""

    port: int
    over: asyncio.Event


@pytest.fixture
async def silent() -> AsyncIterator[Silent]:
    over = asyncio.Event()

    async def hold(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    yield Silent(server.sockets[0].getsockname()[1], over)
    server.close()
    await server.wait_closed()


@pytest.fixture
async def runtime(silent: Silent) -> AsyncIterator[Runtime]:
    """One whose workflows may ask the silent server."""
    async with open_temporary(Settings(http_allow=(f"127.0.0.1:{silent.port}",))) as runtime:
        yield runtime


async def test_when_it_takes_longer_the_answer_says_how_to_go_on(agent: Agent, silent: Silent) -> None:
    document = greeting()
    document["nodes"]["greet"] = {"type": "http.request", "params": {"url": f"http://127.0.0.1:{silent.port}/"}}
    created = await agent.call("create_workflow", document=document)

    started = await agent.call(
        "run_workflow", workflow_id=created["workflow"]["id"], items=[{"age": 40}], wait_seconds=0.01
    )
    silent.over.set()

    execution = started["execution"]
    assert execution["status"] in ("queued", "running")
    assert started["next"].startswith(f'It goes on: get_execution with execution_id="{execution["id"]}"')


async def test_a_run_that_fails_says_why_and_where(agent: Agent) -> None:
    created = await agent.call("create_workflow", document=failing())

    ran = await agent.call("run_workflow", workflow_id=created["workflow"]["id"], items=[{"age": 40}])

    assert ran["execution"]["status"] == "failed"
    assert ran["execution"]["failure"]["node"] == "greet"
    assert "No adults today" in ran["execution"]["failure"]["message"]


async def test_waiting_beyond_what_clients_allow_is_refused(agent: Agent) -> None:
    _, error = await agent.refused("run_workflow", workflow_id="wf_1", wait_seconds=51)

    assert error["problems"][0]["message"] == "`wait_seconds`: input should be less than or equal to 50, not `51`."


async def test_items_of_the_wrong_shape_are_refused_at_their_place(agent: Agent) -> None:
    _, error = await agent.refused("run_workflow", workflow_id="wf_1", items=[{"name": "Ada"}, "Tim"])

    assert [problem["path"] for problem in error["problems"]] == ["/items/1"]


async def test_a_call_that_is_repeated_with_its_key_gets_the_first_execution(agent: Agent) -> None:
    created = await agent.call("create_workflow", document=greeting())
    wanted = {"workflow_id": created["workflow"]["id"], "items": [{"name": "Ada", "age": 40}], "idempotency_key": "k-1"}

    first = await agent.call("run_workflow", **wanted)
    second = await agent.call("run_workflow", **wanted, wait_seconds=5)
    _, error = await agent.refused("run_workflow", **{**wanted, "items": [{}]})

    assert second["execution"]["id"] == first["execution"]["id"]
    assert error["code"] == "execution.key_reused"


async def test_a_part_of_a_workflow_is_tried_out_with_pinned_data(agent: Agent) -> None:
    document = greeting()
    document["nodes"]["adults"]["pinned"] = [{"name": "Tim"}]
    created = await agent.call("create_workflow", document=document)
    wanted = {"workflow_id": created["workflow"]["id"], "items": [{"name": "Ada", "age": 4}]}

    tested = await agent.call("run_workflow", **wanted, use_pinned=True)
    part = await agent.call("run_workflow", **wanted, until_node="adults", use_pinned=True)

    assert tested["result"]["items"][0]["json"]["text"] == "Hello Tim"
    assert part["result"]["items"] == [{"json": {"name": "Tim"}}]
