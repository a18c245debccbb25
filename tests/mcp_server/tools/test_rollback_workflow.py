"""rollback_workflow over MCP."""

from tests.mcp_server.conftest import Agent
from tests.mcp_server.documents import failing, greeting


async def test_an_agent_goes_back_to_what_worked_and_publishes_it(agent: Agent) -> None:
    created = await agent.call("create_workflow", document=greeting())
    workflow_id = created["workflow"]["id"]
    await agent.call("update_workflow", workflow_id=workflow_id, document=failing(), expected_version=1)

    saved = await agent.call("rollback_workflow", workflow_id=workflow_id, version=1, publish=True)

    assert saved["version"] == saved["workflow"]["published_version"] == 3
    assert (await agent.call("diff_versions", workflow_id=workflow_id, before=1))["equal"]


async def test_going_back_to_the_latest_says_what_to_do_instead(agent: Agent) -> None:
    created = await agent.call("create_workflow", document=greeting())

    text, error = await agent.refused("rollback_workflow", workflow_id=created["workflow"]["id"], version=1)

    assert error["code"] == "workflow.version_is_latest"
    assert "Publish it" in text
