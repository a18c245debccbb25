"""create_workflow: store what an agent wrote, as version 1."""

from budflow.services.create_workflow import create_workflow
from mcp_server.guide import DOCUMENT
from mcp_server.tool import Tool

TOOL = Tool.of(
    create_workflow,
    title="Create a workflow",
    description=(
        "Store a new workflow as version 1, unpublished; answers with its id and with what still keeps it from being "
        f"published. Each call makes another workflow: change one with update_workflow. {DOCUMENT}"
    ),
    cut=("problems",),
)
