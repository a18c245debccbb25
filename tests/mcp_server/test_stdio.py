"""stdio: a real client, a real process, and the owner behind its Unix socket."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest
from mcp import Client, StdioServerParameters

from budflow.app import Runtime
from budflow.model.principal import KeyRefused
from budflow.services.keys import Keys
from mcp_server.front import BackendGone
from mcp_server.http import McpDoor
from mcp_server.stdio import connect_socket
from tests.mcp_server.conftest import ERAS, Agent, in_one_task
from tests.mcp_server.documents import greeting
from tests.mcp_server.serving import serving

KEY = "bf_of_the_owner"
PROGRAM = "tests.mcp_server.stdio_program"
LIST_TOOLS = b'{"jsonrpc": "2.0", "id": 1, "method": "tools/list"}'
HEAVY = ("mcp", "mcp_types", "ray", "fastapi", "starlette", "sqlalchemy", "uvicorn", "pydantic_settings")


def program(*arguments: str) -> StdioServerParameters:
    return StdioServerParameters(command=sys.executable, args=["-m", PROGRAM, *arguments], cwd=Path.cwd())


@pytest.fixture
async def owner(runtime: Runtime, tmp_path: Path) -> AsyncIterator[Path]:
    """The socket of an owner."""
    async with in_one_task(serving(McpDoor(runtime.services, Keys(KEY)), tmp_path / "api.sock")) as path:
        yield Path(path)


@pytest.mark.process
@pytest.mark.parametrize("era", ERAS)
async def test_an_agent_works_over_stdio_with_the_server_embedded(era: str) -> None:
    async with Client(program("embedded"), mode=era) as client:
        agent = Agent(client)
        created = await agent.call("create_workflow", document=greeting())
        people = [{"name": "Ada", "age": 36}]
        ran = await agent.call("run_workflow", workflow_id=created["workflow"]["id"], items=people)

    assert ran["result"]["items"][0]["json"]["text"] == "Hello Ada"


@pytest.mark.process
@pytest.mark.parametrize("era", ERAS)
async def test_an_agent_works_over_stdio_with_the_owner_behind(owner: Path, era: str) -> None:
    async with Client(program("pipe", str(owner), KEY), mode=era) as client:
        found = await Agent(client).call("search_nodes", query="http")

    assert found["nodes"]


@pytest.mark.process
@pytest.mark.parametrize("era", ERAS)
async def test_a_client_does_not_notice_that_the_owner_changed(runtime: Runtime, tmp_path: Path, era: str) -> None:
    socket = tmp_path / "api.sock"
    async with AsyncExitStack() as first:
        await first.enter_async_context(in_one_task(serving(McpDoor(runtime.services, Keys(KEY)), socket)))
        async with in_one_task(Client(program("pipe", str(socket), KEY), mode=era)) as client:
            created = await Agent(client).call("create_workflow", document=greeting())
            await first.aclose()
            socket.unlink()
            async with in_one_task(serving(McpDoor(runtime.services, Keys(KEY)), socket)):
                ran = await Agent(client).call(
                    "run_workflow", workflow_id=created["workflow"]["id"], items=[{"age": 1}]
                )

    assert ran["execution"]["status"] == "succeeded"


@pytest.mark.process
def test_lines_piped_in_are_answered_before_the_end() -> None:
    greet = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    lines = [{"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": greet}, "no json"]
    said = "".join(f"{json.dumps(line) if isinstance(line, dict) else line}\n" for line in lines)

    ended = subprocess.run(
        [sys.executable, "-m", PROGRAM, "embedded"], input=said, capture_output=True, text=True, timeout=60, check=True
    )

    answers = [json.loads(line) for line in ended.stdout.splitlines()]
    assert {answer["id"] for answer in answers} == {1, None}


def test_a_client_of_an_owner_imports_nothing_heavy() -> None:
    code = f"import sys, mcp_server.stdio; print(sorted(set({HEAVY}) & set(sys.modules)))"

    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ended.stdout.strip() == "[]"


async def test_a_wrong_key_is_refused_as_such(owner: Path) -> None:
    with pytest.raises(KeyRefused):
        await connect_socket(owner, "wrong")


async def test_nobody_at_the_socket_is_told(tmp_path: Path) -> None:
    with pytest.raises(BackendGone, match=r"api\.sock"):
        await connect_socket(tmp_path / "api.sock", KEY)


async def test_an_owner_that_hands_over_answers_first_and_then_lets_go(runtime: Runtime, tmp_path: Path) -> None:
    door = McpDoor(runtime.services, Keys(KEY))
    async with serving(door, tmp_path / "api.sock") as path:
        backend = await connect_socket(Path(path), KEY)
        await backend.send(LIST_TOOLS)
        await backend.receive()
        await backend.send(LIST_TOOLS.replace(b'"id": 1', b'"id": 2'))
        handing_over = asyncio.create_task(door.drain(5))
        with suppress(BackendGone):  # It was to hand over before it read the line; the front would send it again.
            assert json.loads(await backend.receive())["id"] == 2
        await handing_over

        with pytest.raises(BackendGone):
            await backend.receive()
