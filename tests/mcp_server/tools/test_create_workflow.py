"""create_workflow over MCP."""

from tests.mcp_server.conftest import Agent
from tests.mcp_server.documents import greeting, misspelt


async def test_a_workflow_with_structural_problems_is_refused_with_all_of_them(agent: Agent) -> None:
    text, error = await agent.refused("create_workflow", document=misspelt())

    assert error["code"] == "workflow.invalid"
    assert len(error["problems"]) >= 3
    assert error["problems"][0]["hint"] in text


async def test_a_draft_without_a_trigger_is_stored_and_its_problems_are_told(agent: Agent) -> None:
    document = greeting()
    del document["nodes"]["start"]
    document["edges"] = document["edges"][1:]

    created = await agent.call("create_workflow", document=document)

    assert created["workflow"]["published_version"] is None
    assert created["problems"]


async def test_a_misspelt_argument_is_answered_with_the_one_that_was_meant(agent: Agent) -> None:
    _, error = await agent.refused("create_workflow", documents=greeting())

    unknown = next(problem for problem in error["problems"] if problem["path"] == "/documents")
    assert unknown["hint"] == "Did you mean `document`?"


async def test_a_document_beyond_the_limit_is_refused_as_too_large(agent: Agent) -> None:
    document = greeting()
    document["nodes"]["greet"]["notes"] = "x" * 5_000_000

    _, error = await agent.refused("create_workflow", document=document)

    assert error["problems"][0]["code"] == "document.too_large"
