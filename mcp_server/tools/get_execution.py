"""get_execution: what an execution did, so that an agent can find out why it went wrong."""

from budflow.services.get_execution import get_execution
from mcp_server.tool import Tool

TOOL = Tool.of(
    get_execution,
    title="Read an execution",
    description=(
        "Read an execution: its status, what each node did with times and counts, its failure, its result. To see "
        'items, ask with detail="items" and one `node`; page with `offset` and `limit`. What it waits for stands in '
        "`waits`."
    ),
    read_only=True,
    cut=("nodes.*.items.*.items", "result.items", "responded.body", "waits", "nodes"),
)
