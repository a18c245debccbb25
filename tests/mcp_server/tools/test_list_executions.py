"""list_executions over MCP."""

from tests.mcp_server.conftest import Agent
from tests.mcp_server.documents import greeting


async def test_executions_come_newest_first_a_page_at_a_time(agent: Agent) -> None:
    created = await agent.call("create_workflow", document=greeting())
    workflow_id = created["workflow"]["id"]
    ran = [(await agent.call("run_workflow", workflow_id=workflow_id))["execution"]["id"] for _ in range(3)]

    first = await agent.call("list_executions", limit=2)
    second = await agent.call("list_executions", limit=2, cursor=first["next_cursor"])

    assert [one["id"] for one in first["executions"] + second["executions"]] == ran[::-1]
    assert second["next_cursor"] is None


async def test_an_unknown_status_is_answered_with_those_there_are(agent: Agent) -> None:
    _, error = await agent.refused("list_executions", status="done")

    assert "succeeded" in error["problems"][0]["message"]
