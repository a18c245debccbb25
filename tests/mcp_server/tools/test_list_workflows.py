"""list_workflows over MCP."""

from tests.mcp_server.conftest import Agent
from tests.mcp_server.documents import greeting, hook


async def test_workflows_are_found_by_a_part_of_their_name(agent: Agent) -> None:
    created = [await agent.call("create_workflow", document=one) for one in (greeting(), hook())]

    everything = await agent.call("list_workflows")
    found = await agent.call("list_workflows", name="hoo")

    assert [one["id"] for one in everything["workflows"]] == [one["workflow"]["id"] for one in reversed(created)]
    assert [one["name"] for one in found["workflows"]] == ["Hook"]


async def test_a_long_list_goes_on(agent: Agent) -> None:
    for _ in range(2):
        await agent.call("create_workflow", document=hook())

    page = await agent.call("list_workflows", limit=1)

    assert (await agent.call("list_workflows", cursor=page["next_cursor"]))["next_cursor"] is None
