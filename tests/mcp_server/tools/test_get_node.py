"""get_node over MCP."""

from tests.mcp_server.conftest import Agent


async def test_a_type_comes_with_its_schema_ports_and_examples(agent: Agent) -> None:
    read = await agent.call("get_node", type="flow.filter")

    assert read["outputs"] == ["kept", "dropped"]
    assert read["params"]["required"] == ["condition"]
    assert read["examples"]


async def test_a_misspelt_type_is_answered_with_the_one_that_was_meant(agent: Agent) -> None:
    text, error = await agent.refused("get_node", type="flow.filtre")

    assert error["code"] == "node.type_not_found"
    assert "flow.filter" in error["hint"]
    assert text.startswith("node.type_not_found: ")
