"""POST /workflows/validate: every problem of a document at once."""

from budflow.api.examples import DOCUMENT
from budflow.api.route import Example, Route
from budflow.services.validate_workflow import ValidateWorkflow, ValidationView, validate_workflow

ROUTE = Route(
    "POST",
    "/workflows/validate",
    validate_workflow,
    ValidateWorkflow,
    ValidationView,
    Example(
        answer={
            "can_save": True,
            "can_run": True,
            "can_publish": True,
            "problems": [],
            "plan": ["hook > greet: in the runner. Each node leads only to the next: no hop between them."],
        },
        body={"document": DOCUMENT},
    ),
)
