"""validate_workflow: every problem of a draft at once, so that an agent mends it before it stores anything."""

from budflow.services.validate_workflow import validate_workflow
from mcp_server.guide import DOCUMENT
from mcp_server.tool import Tool

TOOL = Tool.of(
    validate_workflow,
    title="Check a workflow",
    description=(
        "Check a workflow document and list every problem with its place, a hint and, where it is certain, a JSON "
        f"Patch that mends it; nothing is stored. Exactly what create_workflow will say. {DOCUMENT}"
    ),
    read_only=True,
    cut=("problems",),
)
