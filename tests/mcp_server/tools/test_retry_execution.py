"""retry_execution over MCP."""

from tests.mcp_server.conftest import Agent
from tests.mcp_server.documents import failing, greeting


async def test_what_failed_goes_on_as_a_new_execution(agent: Agent) -> None:
    created = await agent.call("create_workflow", document=failing())
    failed = await agent.call("run_workflow", workflow_id=created["workflow"]["id"], items=[{"age": 40}])

    retried = await agent.call("retry_execution", execution_id=failed["execution"]["id"], wait_seconds=10)

    assert retried["execution"]["status"] == "failed"  # It fails by itself, and again.
    assert retried["execution"]["origin"]["execution_id"] == failed["execution"]["id"]
    assert retried["execution"]["mode"] == "mcp"


async def test_what_succeeded_is_not_retried(agent: Agent) -> None:
    created = await agent.call("create_workflow", document=greeting())
    ran = await agent.call("run_workflow", workflow_id=created["workflow"]["id"], items=[{"name": "Ada", "age": 40}])

    _, error = await agent.refused("retry_execution", execution_id=ran["execution"]["id"])

    assert error["code"] == "execution.nothing_to_retry"
