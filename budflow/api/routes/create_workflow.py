"""POST /workflows: store a new workflow."""

from budflow.api.examples import DOCUMENT, SAVED
from budflow.api.route import Example, Route
from budflow.services.create_workflow import CreateWorkflow, create_workflow
from budflow.services.views import SavedView

ROUTE = Route(
    "POST",
    "/workflows",
    create_workflow,
    CreateWorkflow,
    SavedView,
    Example(answer=SAVED, body={"document": DOCUMENT}),
    status=201,
)
