"""publish_workflow over MCP."""

from tests.mcp_server.conftest import Agent
from tests.mcp_server.documents import hook


async def test_a_published_webhook_is_told_with_its_path(agent: Agent) -> None:
    created = await agent.call("create_workflow", document=hook())

    published = await agent.call("publish_workflow", workflow_id=created["workflow"]["id"])

    assert published["webhooks"] == ["POST /webhook/orders"]


async def test_an_agent_takes_back_what_it_published(agent: Agent) -> None:
    created = await agent.call("create_workflow", document=hook())
    workflow_id = created["workflow"]["id"]
    await agent.call("publish_workflow", workflow_id=workflow_id)

    unpublished = await agent.call("publish_workflow", workflow_id=workflow_id, unpublish=True)

    assert (unpublished["workflow"]["published_version"], unpublished["webhooks"]) == (None, [])


async def test_a_workflow_that_is_not_there_cannot_be_published(agent: Agent) -> None:
    _, error = await agent.refused("publish_workflow", workflow_id="wf_none")

    assert error["code"] == "workflow.not_found"
