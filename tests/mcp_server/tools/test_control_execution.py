"""control_execution over MCP."""

import pytest

from tests.api.waits import waiting_for
from tests.mcp_server.conftest import Agent
from tests.until import until


async def started(agent: Agent) -> str:
    """An execution that waits for an answer."""
    created = await agent.call("create_workflow", document=waiting_for("webhook"))
    ran = await agent.call("run_workflow", workflow_id=created["workflow"]["id"], wait_seconds=10)
    assert ran["execution"]["waiting"] == "webhook"
    return str(ran["execution"]["id"])


async def eventually(agent: Agent, execution_id: str, status: str, waiting: str | None = None) -> None:
    async def is_there() -> bool:
        execution = (await agent.call("get_execution", execution_id=execution_id))["execution"]
        return (execution["status"], execution["waiting"]) == (status, waiting)

    await until(is_there)


async def test_an_agent_ends_what_it_started(agent: Agent) -> None:
    execution_id = await started(agent)

    answer = await agent.call("control_execution", execution_id=execution_id, action="cancel")

    assert answer["execution"]["id"] == execution_id
    await eventually(agent, execution_id, "cancelled")
    _, error = await agent.refused("control_execution", execution_id=execution_id, action="cancel")
    assert (error["code"], error["message"]) == ("execution.ended", "The execution has ended already: cancelled.")


async def test_an_agent_holds_an_execution_up_and_lets_it_go_on(agent: Agent) -> None:
    execution_id = await started(agent)

    await agent.call("control_execution", execution_id=execution_id, action="pause")
    await agent.call("answer_wait", execution_id=execution_id, node_path="ask", answer={})
    await eventually(agent, execution_id, "waiting", "paused")
    await agent.call("control_execution", execution_id=execution_id, action="continue")

    await eventually(agent, execution_id, "succeeded")


@pytest.mark.parametrize("action", ["cancel", "pause", "continue"])
async def test_an_execution_that_is_not_there_cannot_be_controlled(agent: Agent, action: str) -> None:
    _, error = await agent.refused("control_execution", execution_id="exe_none", action=action)

    assert error["code"] == "execution.not_found"


async def test_there_is_nothing_else_to_do_with_it(agent: Agent) -> None:
    _, error = await agent.refused("control_execution", execution_id="exe_none", action="stop")

    assert error["code"] == "mcp.arguments_invalid"
