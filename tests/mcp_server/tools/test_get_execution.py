"""get_execution over MCP."""

import json

from tests.mcp_server.conftest import Agent
from tests.mcp_server.documents import greeting


async def test_many_items_are_cut_unless_more_is_asked_for(agent: Agent) -> None:
    created = await agent.call("create_workflow", document=greeting())
    people = [{"name": f"Ada {number}", "age": 36, "notes": "x" * 100} for number in range(200)]
    ran = await agent.call("run_workflow", workflow_id=created["workflow"]["id"], items=people)
    asked = {"execution_id": ran["execution"]["id"], "detail": "items", "limit": 200}

    brief = await agent.call("get_execution", **asked)
    whole = await agent.call("get_execution", **asked, bytes_max=1_000_000)

    assert len(json.dumps(brief)) < 10_000
    assert [node["key"] for node in brief["nodes"]] == ["start", "adults", "greet"]
    assert brief["nodes"][0]["items"]["main"]["truncated"]
    assert "omitted" not in whole
    assert len(whole["nodes"][0]["items"]["main"]["items"]) == 200


async def test_an_execution_that_is_not_there_is_an_error_with_a_hint(agent: Agent) -> None:
    _, error = await agent.refused("get_execution", execution_id="exe_none")

    assert error["code"] == "execution.not_found"
    assert error["hint"]
