"""fork_execution over MCP."""

from tests.mcp_server.conftest import Agent
from tests.mcp_server.documents import failing, greeting


async def test_an_agent_mends_a_workflow_and_goes_on_from_the_node_that_failed(agent: Agent) -> None:
    created = await agent.call("create_workflow", document=failing())
    workflow_id = created["workflow"]["id"]
    failed = await agent.call("run_workflow", workflow_id=workflow_id, items=[{"name": "Ada", "age": 40}])
    await agent.call("update_workflow", workflow_id=workflow_id, document=greeting(), expected_version=1)

    forked = await agent.call(
        "fork_execution", execution_id=failed["execution"]["id"], node="greet", version=2, wait_seconds=10
    )

    assert forked["execution"]["status"] == "succeeded"
    assert forked["result"]["items"][0]["json"]["text"] == "Hello Ada"


async def test_a_node_that_is_not_there_is_told_with_the_one_that_was_meant(agent: Agent) -> None:
    created = await agent.call("create_workflow", document=greeting())
    ran = await agent.call("run_workflow", workflow_id=created["workflow"]["id"], items=[{"name": "Ada", "age": 40}])

    text, _ = await agent.refused("fork_execution", execution_id=ran["execution"]["id"], node="greeet")

    assert "`greet`" in text
