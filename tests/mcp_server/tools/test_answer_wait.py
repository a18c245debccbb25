"""answer_wait over MCP."""

from tests.api.waits import waiting_for
from tests.mcp_server.conftest import Agent

FORM = {"text": "Where to?", "fields": [{"name": "street", "required": True}]}


async def test_an_agent_sees_what_is_waited_for_and_answers_it(agent: Agent) -> None:
    created = await agent.call("create_workflow", document=waiting_for("form", **FORM))
    ran = await agent.call("run_workflow", workflow_id=created["workflow"]["id"])
    execution_id = ran["execution"]["id"]
    assert ran["next"].startswith("It waits for somebody (form)")
    [wait] = ran["waits"]
    assert (wait["node"], wait["ask"]["fields"][0]["name"]) == ("ask", "street")

    answered = await agent.call(
        "answer_wait", execution_id=execution_id, node_path=wait["node"], answer={"street": "Main"}
    )

    assert answered["answered"] is True
    _, error = await agent.refused("answer_wait", execution_id=execution_id, node_path="ask", answer={"street": "Side"})
    assert error["code"] == "wait.closed"


async def test_an_answer_that_does_not_fit_says_what_is_missing(agent: Agent) -> None:
    created = await agent.call("create_workflow", document=waiting_for("form", **FORM))
    ran = await agent.call("run_workflow", workflow_id=created["workflow"]["id"])

    text, error = await agent.refused("answer_wait", execution_id=ran["execution"]["id"], node_path="ask", answer={})

    assert error["code"] == "wait.answer_invalid"
    assert "`street` is required" in text
