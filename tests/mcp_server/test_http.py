"""The MCP door over HTTP: who gets in, and both protocol eras at one address."""

import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx2
import pytest

from budflow.app import Runtime
from budflow.services.keys import Keys
from mcp_server.http import McpDoor
from tests.mcp_server.conftest import ERAS, Agent, in_one_task
from tests.mcp_server.documents import greeting
from tests.mcp_server.serving import connected, serving

KEY = "bf_of_the_owner"
LIST_TOOLS = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}


@dataclass(frozen=True)
class Served:
    """A door that is served, and where."""

    door: McpDoor
    url: str


@pytest.fixture
async def served(runtime: Runtime) -> AsyncIterator[Served]:
    door = McpDoor(runtime.services, Keys(KEY))
    async with in_one_task(serving(door)) as url:
        yield Served(door, url)


async def post(url: str, **headers: str) -> httpx2.Response:
    async with httpx2.AsyncClient() as client:
        return await client.post(url, json=LIST_TOOLS, headers=headers)


@pytest.mark.parametrize("era", ERAS)
async def test_an_agent_creates_and_runs_a_workflow_over_http(served: Served, era: str) -> None:
    async with connected(served.url, KEY, era) as client:
        agent = Agent(client)
        created = await agent.call("create_workflow", document=greeting())
        people = [{"name": "Ada", "age": 36}]
        ran = await agent.call("run_workflow", workflow_id=created["workflow"]["id"], items=people)

    assert ran["result"]["items"][0]["json"]["text"] == "Hello Ada"
    assert ran["execution"]["mode"] == "mcp"


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic wrong"}])
async def test_without_a_right_key_nothing_is_told(served: Served, headers: dict[str, str]) -> None:
    response = await post(served.url, **headers)

    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Bearer")
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["code"] == "auth.key_refused"


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [("Host", "evil.example", 421), ("Origin", "http://evil.example", 403), ("Origin", "null", 403)],
)
async def test_a_page_in_a_browser_cannot_reach_it_by_another_name(
    served: Served, name: str, value: str, status: int
) -> None:
    response = await post(served.url, Authorization=f"Bearer {KEY}", **{name: value})

    assert response.status_code == status
    assert response.json()["hint"]


async def test_a_name_that_the_server_goes_by_is_taken(runtime: Runtime) -> None:
    door = McpDoor(runtime.services, Keys(KEY), hosts={"flows.example", "[::1]"})
    async with serving(door) as url:
        response = await post(url, Authorization=f"Bearer {KEY}", Host="flows.example:443", Origin="http://[::1]:8710")

    assert response.status_code not in (421, 403)


async def test_another_path_is_not_found(served: Served) -> None:
    response = await post(f"{served.url}/nothing", Authorization=f"Bearer {KEY}")

    assert response.status_code == 404
    assert response.json()["code"] == "mcp.path_unknown"


async def test_a_body_beyond_the_limit_is_refused(served: Served) -> None:
    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {KEY}"}) as client:
        response = await client.post(served.url, content=b"{" + b" " * 9_000_000)

    assert response.status_code == 413


async def test_a_door_that_closed_says_come_back(runtime: Runtime) -> None:
    door = McpDoor(runtime.services, Keys(KEY))
    async with serving(door) as url:
        await door.warm()
        await door.stop()
        response = await post(url, Authorization=f"Bearer {KEY}")

    assert response.status_code == 503
    assert "retry-after" in response.headers


async def test_handing_over_does_not_wait_for_streams_that_never_end(runtime: Runtime) -> None:
    door = McpDoor(runtime.services, Keys(KEY))
    async with serving(door) as url, connected(url, KEY, "legacy") as client:
        await client.list_tools()
        await door.drain(5)  # The older era keeps a stream open from its first message on.


def test_the_door_opens_without_the_sdk_being_imported() -> None:
    program = "import sys, mcp_server.http; assert not {'mcp', 'starlette', 'fastapi', 'ray'} & set(sys.modules)"

    subprocess.run([sys.executable, "-c", program], check=True)
