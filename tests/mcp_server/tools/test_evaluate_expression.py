"""evaluate_expression over MCP."""

from tests.mcp_server.conftest import Agent


async def test_an_expression_is_tried_with_data_that_an_agent_brings_along(agent: Agent) -> None:
    tried = await agent.call(
        "evaluate_expression", expression="{{ $json.name.upper() }}", data={"items": [{"name": "Ada"}]}
    )

    assert (tried["value"], tried["type"], tried["uses"]) == ("ADA", "a text", ["$json"])


async def test_what_is_wrong_comes_with_its_place_and_what_to_write(agent: Agent) -> None:
    tried = await agent.call("evaluate_expression", expression="1 + $jsn", data={"items": [{}]})

    assert tried["value"] is None
    assert tried["error"]["code"] == "expression.invalid"
    assert tried["error"]["position"] == {"offset": 4, "line": 1, "column": 5}
    assert "$json" in tried["error"]["hint"]


async def test_a_long_value_is_cut(agent: Agent) -> None:
    tried = await agent.call("evaluate_expression", expression="range(50000)")

    assert len(tried["value"]) < 5_000
    assert tried["omitted"]["/value"] > 40_000
