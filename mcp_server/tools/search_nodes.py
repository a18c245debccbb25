"""search_nodes: the first step of an agent, from what it wants to do to the types that do it."""

from budflow.services.search_nodes import search_nodes
from mcp_server.tool import Tool

TOOL = Tool.of(
    search_nodes,
    title="Search node types",
    description=(
        "Find node types by what they do, best first; an empty query lists all. Start here, then read each type you "
        "will use with get_node."
    ),
    read_only=True,
    cut=("nodes",),
)
