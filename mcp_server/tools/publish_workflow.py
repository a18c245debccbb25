"""publish_workflow: arm the triggers of what an agent built, or disarm them."""

from pydantic import Field

from budflow.model.principal import Principal
from budflow.services.publish_workflow import PublishedView, PublishWorkflow, publish_workflow as publish
from budflow.services.unpublish_workflow import UnpublishWorkflow, unpublish_workflow
from budflow.services.use_case import Services
from mcp_server.tool import Tool


class PublishOrUnpublish(PublishWorkflow):
    """Which version of which workflow."""

    unpublish: bool = Field(False, description="Disarm its triggers instead; what runs goes on.")


async def publish_workflow(services: Services, principal: Principal, request: PublishOrUnpublish) -> PublishedView:
    """Publish a version of a workflow, or none."""
    if request.unpublish:
        asked = UnpublishWorkflow(workflow_id=request.workflow_id)
        return PublishedView(workflow=await unpublish_workflow(services, principal, asked), webhooks=[], inputs={})
    return await publish(services, principal, PublishWorkflow(**request.model_dump(exclude={"unpublish"})))


TOOL = Tool.of(
    publish,
    title="Publish a workflow",
    description=(
        "Publish a version (the latest unless you name one): its webhooks answer from now on, and other workflows may "
        "call it. It replaces the version published before."
    ),
    call=publish_workflow,
    idempotent=True,
    destructive=True,
)
