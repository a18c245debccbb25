"""POST /workflows/{workflow_id}/publish: arm a version's triggers."""

from budflow.api.examples import PUBLISHED, WORKFLOW_ID
from budflow.api.route import Example, Route
from budflow.services.publish_workflow import PublishedView, PublishWorkflow, publish_workflow

ROUTE = Route(
    "POST",
    "/workflows/{workflow_id}/publish",
    publish_workflow,
    PublishWorkflow,
    PublishedView,
    Example(
        answer={
            "workflow": PUBLISHED,
            "webhooks": ["POST /webhook/greet"],
            "inputs": {},
            "schedules": {},
            "problems": [],
        },
        parameters={"workflow_id": WORKFLOW_ID},
        body={"version": 1},
    ),
)
