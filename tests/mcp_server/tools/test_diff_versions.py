"""diff_versions over MCP."""

from tests.mcp_server.conftest import Agent
from tests.mcp_server.documents import failing, greeting


async def test_what_changed_last_is_told_with_both_values(agent: Agent) -> None:
    created = await agent.call("create_workflow", document=greeting())
    workflow_id = created["workflow"]["id"]
    await agent.call("update_workflow", workflow_id=workflow_id, document=failing(), expected_version=1)

    found = await agent.call("diff_versions", workflow_id=workflow_id)

    assert (found["before"], found["after"]) == (1, 2)
    [node] = found["nodes"]
    assert {"path": "/type", "before": "data.set", "after": "flow.stop_and_error"} in node["changes"]
