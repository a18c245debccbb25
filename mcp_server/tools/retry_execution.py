"""retry_execution: let what failed go on, once an agent has found out why it failed."""

from budflow.services.retry_execution import retry_execution
from mcp_server.tool import Tool

TOOL = Tool.of(
    retry_execution,
    title="Retry a failed execution",
    description=(
        "Let a failed or cancelled execution go on as a new one: only what did not end well runs again, by the same "
        "version. When the workflow itself was wrong, mend it and use fork_execution with the new `version`."
    ),
    destructive=True,
    open_world=True,
    answers_as="get_execution",
    cut=("result.items", "responded.body", "waits", "nodes"),
)
