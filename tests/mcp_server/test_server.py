"""The server: what it lists, and what it does with calls that are wrong."""

from dataclasses import replace

import orjson
import pytest
from mcp import Client, MCPError
from mcp_types import INVALID_PARAMS

from budflow.app import Runtime
from budflow.model.principal import Principal
from mcp_server.guide import INSTRUCTIONS
from mcp_server.registry import build
from mcp_server.server import PERMISSION_META, answer, build_server
from mcp_server.tools.search_nodes import TOOL as SEARCH_NODES
from tests.mcp_server.conftest import Agent

TOOLS_LIST_BYTES_MAX = 24 * 1024  # About 6,000 tokens, which an agent pays before it does anything.


async def test_the_list_of_tools_is_small_ordered_and_complete(agent: Agent) -> None:
    listed = (await agent.client.list_tools()).tools

    assert [tool.name for tool in listed] == sorted(build())
    size = sum(len(tool.model_dump_json(by_alias=True, exclude_none=True)) for tool in listed)
    assert size <= TOOLS_LIST_BYTES_MAX


async def test_each_tool_tells_its_permission_and_hints(agent: Agent) -> None:
    for tool in (await agent.client.list_tools()).tools:
        assert tool.meta == {PERMISSION_META: build()[tool.name].permission}
        assert tool.annotations is not None
        assert tool.annotations.read_only_hint is not None
        assert tool.input_schema["additionalProperties"] is False


async def test_a_client_gets_the_instructions(agent: Agent) -> None:
    assert agent.client.instructions == INSTRUCTIONS


async def test_an_unknown_tool_is_answered_with_the_one_that_was_meant(agent: Agent) -> None:
    with pytest.raises(MCPError, match="Did you mean search_nodes") as raised:
        await agent.client.call_tool("search_node", {})

    assert raised.value.code == INVALID_PARAMS


async def test_the_text_of_an_answer_is_its_structure_as_json(agent: Agent) -> None:
    result = await agent.client.call_tool("search_nodes", {"query": "http"})

    assert orjson.loads(result.content[0].text) == result.structured_content


async def test_who_may_only_read_sees_and_can_do_only_that(runtime: Runtime, principal: Principal) -> None:
    reader = replace(principal, permissions=frozenset({"node:read"}))
    async with Client(build_server(runtime.services, lambda _: reader)) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["get_node", "search_nodes"]

        text, error = await Agent(client).refused("run_workflow", workflow_id="wf_1")

    assert error["code"] == "auth.permission_missing"
    assert "execution:run" in text


async def test_a_fault_of_ours_tells_nothing_but_an_id_that_the_log_has_too(
    runtime: Runtime, principal: Principal, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object) -> None:
        raise ZeroDivisionError("the secret")

    result = await answer(replace(SEARCH_NODES, call=broken), runtime.services, principal, {})

    assert result.is_error
    error_id = result.structured_content["details"]["error_id"]
    assert "secret" not in result.model_dump_json()
    assert error_id in str([record.__dict__ for record in caplog.records])
