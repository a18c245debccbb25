"""diff_versions: what changed between two versions, so that an agent can say why something broke."""

from budflow.services.diff_versions import diff_versions
from mcp_server.tool import Tool

TOOL = Tool.of(
    diff_versions,
    title="Compare two versions",
    description=(
        "Compare two versions of a workflow by what they mean: nodes, edges and settings that were added, changed or "
        "removed, with the values before and after. By default the latest one with the one before it."
    ),
    read_only=True,
    cut=("nodes", "edges"),
)
