"""validate_workflow: every problem of a document at once, without storing anything."""

from typing import Any

from pydantic import Field

from budflow.graph.explain import explain
from budflow.graph.plan import compile_plan
from budflow.model.principal import Principal
from budflow.model.workflow import Workflow
from budflow.services.check_credentials import check_document
from budflow.services.use_case import RequestModel, Services, View, use_case
from budflow.services.views import ProblemView


class ValidateWorkflow(RequestModel):
    """A document to check."""

    document: dict[str, Any] = Field(description="The whole workflow document.")
    workflow_id: str | None = Field(
        None, description="The workflow of which it is to be a version: it may have credentials of its own."
    )


class ValidationView(View):
    """What the validator says."""

    can_save: bool
    can_run: bool
    can_publish: bool
    problems: list[ProblemView]
    plan: list[str] = Field(
        description="How it will be run: a line for each segment. Empty where it could not be run here."
    )


@use_case("workflow:read")
async def validate_workflow(services: Services, principal: Principal, request: ValidateWorkflow) -> ValidationView:
    """Check a workflow document and list every problem, each with a hint; nothing is stored."""
    checked = await check_document(services, principal, request.document, workflow_id=request.workflow_id or "")
    return ValidationView(
        can_save=not checked.blocking("save"),
        can_run=not checked.blocking("run"),
        can_publish=not checked.blocking("publish"),
        problems=[ProblemView.of(problem) for problem in checked.problems],
        plan=[] if checked.blocking("run") else _plan_of(services, checked.require("run")),
    )


def _plan_of(services: Services, workflow: Workflow) -> list[str]:
    return [str(segment) for segment in explain(compile_plan(workflow, services.registry))]
