"""publish_workflow: arm the triggers of what an agent built."""

from budflow.services.publish_workflow import publish_workflow
from mcp_server.tool import Tool

TOOL = Tool.of(
    publish_workflow,
    title="Publish a workflow",
    description=(
        "Publish a version (the latest unless you name one): its webhooks answer from now on, and other workflows may "
        "call it. It takes the place of the version that was published before."
    ),
    idempotent=True,
    destructive=True,
)
