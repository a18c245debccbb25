"""validate_workflow: every problem of a document at once, without storing anything."""

from typing import Any

from pydantic import Field

from budflow.model.principal import Principal
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


@use_case("workflow:read")
async def validate_workflow(services: Services, principal: Principal, request: ValidateWorkflow) -> ValidationView:
    """Check a workflow document and list every problem, each with a hint; nothing is stored."""
    checked = await check_document(services, principal, request.document, workflow_id=request.workflow_id or "")
    return ValidationView(
        can_save=not checked.blocking("save"),
        can_run=not checked.blocking("run"),
        can_publish=not checked.blocking("publish"),
        problems=[ProblemView.of(problem) for problem in checked.problems],
    )
