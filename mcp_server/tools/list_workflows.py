"""list_workflows: what there is, so that an agent finds what its user means."""

from pydantic import Field

from budflow.services.list_workflows import ListWorkflows, list_workflows
from mcp_server.tool import Tool


class ListWorkflowsBriefly(ListWorkflows):
    """Which workflows; fewer than the HTTP API gives, since an agent reads each of them."""

    limit: int = Field(20, ge=1, le=200, description="How many at most.")


TOOL = Tool.of(
    list_workflows,
    title="List workflows",
    description="List workflows, newest first; by a part of their name if you say so. Go on with `next_cursor`.",
    arguments=ListWorkflowsBriefly,
    read_only=True,
)
