"""What agents are told: short enough to be kept by every client, and true."""

from budflow.graph.validate import check
from budflow.nodes.registry import build as build_node_types
from mcp_server.guide import DOCUMENT, EXAMPLE, INSTRUCTIONS, INSTRUCTIONS_CHARS_MAX
from mcp_server.registry import build
from tests.mcp_server.conftest import Agent


def test_no_client_cuts_the_instructions() -> None:
    assert len(INSTRUCTIONS) <= INSTRUCTIONS_CHARS_MAX


def test_the_example_can_be_published() -> None:
    assert check(EXAMPLE, build_node_types()).problems == ()


def test_the_tools_are_named_in_the_order_in_which_an_agent_needs_them() -> None:
    way = ["search_nodes", "get_node", "validate_workflow", "create_workflow", "publish_workflow", "run_workflow"]

    assert sorted(way, key=INSTRUCTIONS.index) == way
    assert set(way) <= set(build())


def test_every_tool_that_takes_a_document_says_what_it_looks_like() -> None:
    for tool in build().values():
        assert ("document" in tool.arguments.model_fields) == (DOCUMENT in tool.description)


async def test_a_field_that_may_be_missing_is_read_as_the_instructions_say(agent: Agent) -> None:
    assert "$json?.field" in INSTRUCTIONS
    set_it = {"type": "data.set", "params": {"values": {"text": "{{ $json?.field }}"}}}
    document = {
        "format": 1,
        "name": "Missing",
        "nodes": {"start": {"type": "trigger.manual"}, "set": set_it},
        "edges": [{"from": "start", "to": "set"}],
    }
    created = await agent.call("create_workflow", document=document)

    ran = await agent.call("run_workflow", workflow_id=created["workflow"]["id"])

    assert ran["result"]["items"] == [{"json": {"text": None}}]
