"""fork_execution: try a changed workflow, or another input, on what an execution already has."""

from budflow.services.fork_execution import fork_execution
from mcp_server.tool import Tool

TOOL = Tool.of(
    fork_execution,
    title="Run again from a node on",
    description=(
        "Run a past execution again as a new one, from `node` on: what other nodes gave is kept, and what is behind "
        "the node is done again for real, such as HTTP requests."
    ),
    destructive=True,
    open_world=True,
    answers_as="get_execution",
    cut=("result.items", "responded.body", "waits", "nodes"),
)
