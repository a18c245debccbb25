"""rollback_workflow: back to a version that worked."""

from budflow.services.rollback_workflow import rollback_workflow
from mcp_server.tool import Tool

TOOL = Tool.of(
    rollback_workflow,
    title="Go back to an old version",
    description=(
        "Store the document of an old version again, as the newest one; with `publish` it is live at once. No version "
        "is lost."
    ),
    destructive=True,
    cut=("problems",),
)
