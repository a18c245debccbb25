"""From a wish to a result, as an agent goes it."""

from tests.mcp_server.conftest import Agent
from tests.mcp_server.documents import greeting, misspelt


async def test_an_agent_builds_mends_and_runs_a_workflow(agent: Agent) -> None:
    found = await agent.call("search_nodes", query="keep items that pass a condition")
    assert found["nodes"][0]["type"] == "flow.filter"

    node_type = await agent.call("get_node", type="flow.filter")
    assert "condition" in node_type["params"]["properties"]

    checked = await agent.call("validate_workflow", document=misspelt())
    assert not checked["can_save"]
    assert {problem["path"] for problem in checked["problems"]} >= {"/nodes/greet/type", "/edges/1/from"}
    assert all(problem["hint"] for problem in checked["problems"])

    created = await agent.call("create_workflow", document=greeting())
    workflow_id = created["workflow"]["id"]
    assert created["problems"] == []

    published = await agent.call("publish_workflow", workflow_id=workflow_id)
    assert published["workflow"]["published_version"] == 1

    people = [{"name": "Ada", "age": 36}, {"name": "Tim", "age": 12}]
    ran = await agent.call("run_workflow", workflow_id=workflow_id, items=people)
    assert ran["execution"]["status"] == "succeeded"
    assert [item["json"]["text"] for item in ran["result"]["items"]] == ["Hello Ada"]

    execution_id = ran["execution"]["id"]
    read = await agent.call("get_execution", execution_id=execution_id, detail="items", node="adults")
    assert read["execution"]["mode"] == "mcp"
    [adults] = read["nodes"]
    assert {port: items["total"] for port, items in adults["items"].items()} == {"kept": 1, "dropped": 1}

    listed = await agent.call("list_executions", workflow_id=workflow_id)
    assert [execution["id"] for execution in listed["executions"]] == [execution_id]
