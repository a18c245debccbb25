"""update_workflow: store a changed document as the next version; never over somebody else's change."""

from budflow.services.update_workflow import update_workflow
from mcp_server.guide import DOCUMENT
from mcp_server.tool import Tool

TOOL = Tool.of(
    update_workflow,
    title="Change a workflow",
    description=(
        "Store a changed document as the next version of a workflow; refused when it was changed since "
        "`expected_version`. Earlier versions stay, and the published one goes on until you publish again. "
        f"{DOCUMENT}"
    ),
    cut=("problems",),
)
