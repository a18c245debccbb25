"""POST /executions/prune: remove what retention no longer keeps."""

from budflow.api.examples import WORKFLOW_ID
from budflow.api.route import Example, Route
from budflow.services.prune_executions import PrunedView, PruneExecutions, prune_executions

ROUTE = Route(
    "POST",
    "/executions/prune",
    prune_executions,
    PruneExecutions,
    PrunedView,
    Example(answer={"executions": 250, "blobs": 3, "more": False}, body={"workflow_id": WORKFLOW_ID}),
)
