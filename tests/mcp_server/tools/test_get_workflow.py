"""get_workflow over MCP."""

from tests.mcp_server.conftest import Agent
from tests.mcp_server.documents import greeting


async def test_a_document_is_read_whole_however_long_it_is(agent: Agent) -> None:
    document = greeting()
    document["nodes"]["greet"]["params"]["values"]["text"] = "x" * 20_000
    created = await agent.call("create_workflow", document=document)

    read = await agent.call("get_workflow", workflow_id=created["workflow"]["id"])

    assert read["document"]["nodes"]["greet"]["params"] == document["nodes"]["greet"]["params"]
    assert "omitted" not in read


async def test_the_inputs_that_a_workflow_asks_for_are_told(agent: Agent) -> None:
    document = greeting()
    document["nodes"]["start"]["params"] = {"inputs": {"age": {"type": "integer", "required": True}}}
    created = await agent.call("create_workflow", document=document)

    read = await agent.call("get_workflow", workflow_id=created["workflow"]["id"])

    assert read["inputs"] == {
        "start": {"age": {"type": "integer", "required": True, "default": None, "description": ""}}
    }


async def test_a_version_that_is_not_there_is_told(agent: Agent) -> None:
    created = await agent.call("create_workflow", document=greeting())

    _, error = await agent.refused("get_workflow", workflow_id=created["workflow"]["id"], version=7)

    assert error["code"] == "workflow.version_not_found"
