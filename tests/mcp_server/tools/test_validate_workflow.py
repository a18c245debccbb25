"""validate_workflow over MCP."""

import json

from tests.mcp_server.conftest import Agent
from tests.mcp_server.documents import greeting, misspelt


async def test_every_problem_comes_at_once_with_a_patch_where_it_is_certain(agent: Agent) -> None:
    checked = await agent.call("validate_workflow", document=misspelt())

    patches = [patch for problem in checked["problems"] for patch in problem["patch"]]
    assert {"op": "replace", "path": "/nodes/greet/type", "value": "data.set"} in patches
    assert {"op": "replace", "path": "/edges/1/from", "value": "adults.kept"} in patches


async def test_the_example_that_agents_are_shown_is_right(agent: Agent) -> None:
    checked = await agent.call("validate_workflow", document=greeting())

    assert checked.pop("plan")[0].startswith("start > adults > greet: in the runner. ")
    assert checked == {"can_save": True, "can_run": True, "can_publish": True, "problems": []}


async def test_a_document_sent_as_a_string_of_json_is_taken_for_what_it_means(agent: Agent) -> None:
    checked = await agent.call("validate_workflow", document=json.dumps(greeting()))

    assert checked["can_publish"]


async def test_a_hundred_problems_are_cut_to_what_an_agent_can_read(agent: Agent) -> None:
    document = greeting()
    document["nodes"] |= {f"n{number}": {"type": "no.such"} for number in range(100)}

    checked = await agent.call("validate_workflow", document=document)

    assert len(json.dumps(checked)) < 9000
    assert checked["problems"]
    assert checked["omitted"]["/problems"] > 0
