"""update_workflow over MCP."""

from tests.mcp_server.conftest import Agent
from tests.mcp_server.documents import greeting


async def test_a_change_makes_the_next_version(agent: Agent) -> None:
    created = await agent.call("create_workflow", document=greeting())
    changed = {**greeting(), "name": "Greet grown-ups"}

    updated = await agent.call(
        "update_workflow", workflow_id=created["workflow"]["id"], document=changed, expected_version=1
    )

    assert updated["version"] == 2
    assert updated["workflow"]["name"] == "Greet grown-ups"


async def test_a_change_that_started_from_an_old_version_is_refused(agent: Agent) -> None:
    created = await agent.call("create_workflow", document=greeting())
    change = {"workflow_id": created["workflow"]["id"], "document": greeting(), "expected_version": 1}
    await agent.call("update_workflow", **change)

    _, error = await agent.refused("update_workflow", **change)

    assert error["code"] == "workflow.version_conflict"
