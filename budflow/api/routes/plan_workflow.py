"""GET /workflows/{workflow_id}/plan: how a version will be run."""

from budflow.api.examples import WORKFLOW_ID
from budflow.api.route import Example, Route
from budflow.services.plan_workflow import PlanView, PlanWorkflow, plan_workflow

ROUTE = Route(
    "GET",
    "/workflows/{workflow_id}/plan",
    plan_workflow,
    PlanWorkflow,
    PlanView,
    Example(
        answer={
            "workflow_id": WORKFLOW_ID,
            "version": 1,
            "executor": "inprocess",
            "segments": [
                {
                    "number": 0,
                    "nodes": ["hook", "greet"],
                    "path": [],
                    "where": "runner",
                    "why": "Each node leads only to the next: no hop between them, and one task for all.",
                    "ends": None,
                    "resources": {},
                    "labels": {},
                }
            ],
        },
        parameters={"workflow_id": WORKFLOW_ID, "version": 1},
    ),
)
