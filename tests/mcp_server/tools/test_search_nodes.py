"""search_nodes over MCP."""

from tests.mcp_server.conftest import Agent


async def test_an_empty_query_lists_all_types(agent: Agent) -> None:
    found = await agent.call("search_nodes", limit=100)

    assert {"trigger.manual", "http.request"} <= {node["type"] for node in found["nodes"]}


async def test_a_word_nobody_uses_finds_nothing_and_is_no_error(agent: Agent) -> None:
    assert (await agent.call("search_nodes", query="xyzzy"))["nodes"] == []


async def test_nothing_found_says_how_to_go_on(agent: Agent) -> None:
    answer = await agent.call("search_nodes", query="zzz")

    assert answer["nodes"] == []
    assert "empty query" in answer["hint"]
