"""get_workflow: a stored document, for an agent that is to change what others made."""

from budflow.services.get_workflow import get_workflow
from mcp_server.tool import Tool

TOOL = Tool.of(
    get_workflow,
    title="Read a workflow",
    description=(
        "Read a workflow: its document in the latest version or the one you name, and the `inputs` that it asks for. "
        "Read it before you change it: send the whole document back with update_workflow."
    ),
    read_only=True,
    whole=True,
)
