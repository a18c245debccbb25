"""The MCP server: from a tool call to its use case and back, for every transport and both protocol eras.

Built on the SDK's low-level `Server`, not on `MCPServer`. Measured, a call costs it half the processor time. It takes
input schemas as they are, which published workflows need, since their schemas are data and no Python signatures. And
the arguments are checked here, so that a wrong one is answered with our hints. What `MCPServer` would add (schemas from
signatures, injected contexts) `mcp_server.tool` has in a few lines.
"""

from collections.abc import Callable, Mapping
from typing import Any

import orjson
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    Tool as ListedTool,
    ToolAnnotations,
)

from budflow import __version__
from budflow.errors import BudflowError
from budflow.graph.suggest import closest
from budflow.log import get_log
from budflow.model.identity import new_id
from budflow.model.principal import Principal
from budflow.services.problem_document import InternalError, ProblemDocument
from budflow.services.use_case import Services
from mcp_server.arguments import read_arguments
from mcp_server.guide import INSTRUCTIONS
from mcp_server.registry import build
from mcp_server.size import fit
from mcp_server.tool import ANSWER_BYTES_MAX, Tool

PERMISSION_META = "budflow/permission"

log = get_log(__name__)

Context = ServerRequestContext[Any, Any]


def build_server(services: Services, whose: Callable[[Context], Principal]) -> Server[Any]:
    """A server over `services`. `whose` tells who sent a request; each transport knows that in its own way."""
    tools = build()
    listed = {name: _listed(tool) for name, tool in tools.items()}

    async def list_tools(context: Context, params: PaginatedRequestParams | None) -> ListToolsResult:
        allowed = whose(context).permissions
        return ListToolsResult(tools=[listed[name] for name, tool in tools.items() if tool.permission in allowed])

    async def call_tool(context: Context, params: CallToolRequestParams) -> CallToolResult:
        tool = tools.get(params.name)
        if tool is None:
            raise _unknown(params.name, tools)
        return await answer(tool, services, whose(context), params.arguments or {})

    return Server(
        "budflow",
        title="BudFlow",
        version=__version__,
        description="Build, check, run and inspect workflows.",
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


async def answer(tool: Tool, services: Services, principal: Principal, arguments: Mapping[str, Any]) -> CallToolResult:
    """Call a tool. What goes wrong is an answer too, marked as an error, so that the agent can read and mend it."""
    try:
        request = read_arguments(tool.arguments, arguments)
        view = await tool.call(services, principal, request)
    except BudflowError as error:
        return _refused(error)
    except Exception:  # The edge: an agent gets an answer whatever went wrong, and the log the rest.
        error_id = new_id("err")
        log.exception("mcp.tool_broke", tool=tool.name, error_id=error_id)
        return _refused(InternalError(error_id=error_id))
    shape = view.model_dump(mode="json")
    if not tool.whole:
        shape = fit(shape, tool.cut, max(ANSWER_BYTES_MAX, getattr(request, "bytes_max", 0)))
    return CallToolResult(content=[TextContent(text=orjson.dumps(shape).decode())], structured_content=shape)


def _listed(tool: Tool) -> ListedTool:
    return ListedTool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=tool.input_schema(),
        output_schema=tool.output_schema(),
        annotations=ToolAnnotations(
            read_only_hint=tool.read_only,
            # Of a tool that only reads these two mean nothing (MCP, ToolAnnotations), and agents pay for each word.
            idempotent_hint=None if tool.read_only else tool.idempotent,
            destructive_hint=None if tool.read_only else tool.destructive,
            open_world_hint=tool.open_world,
        ),
        _meta={PERMISSION_META: tool.permission},
    )


def _refused(error: BudflowError) -> CallToolResult:
    document = ProblemDocument.of(error).model_dump(mode="json", exclude_none=True)
    shape = {"code": error.code, "message": error.message, "hint": error.hint}
    shape |= {name: document[name] for name in ("problems", "details") if name in document}
    shape = fit(shape, ("problems",), ANSWER_BYTES_MAX)
    said = f"{error.code}: {error.message} {error.hint}".strip()
    return CallToolResult(
        content=[TextContent(text=f"{said}\n{orjson.dumps(shape).decode()}")], structured_content=shape, is_error=True
    )


def _unknown(name: str, tools: Mapping[str, Tool]) -> MCPError:
    match = closest(name, tools)
    every = f"There are: {', '.join(tools)}."
    hint = f"Did you mean {match}? {every}" if match else every
    return MCPError(INVALID_PARAMS, f"Unknown tool: {name}. {hint}", {"code": "mcp.tool_unknown", "hint": hint})
