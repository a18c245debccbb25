"""publish_workflow: arm the triggers of one version."""

import re
from datetime import datetime

from pydantic import Field

from budflow.graph.plan import Plan, compile_plan
from budflow.model.armed_schedule import ScheduleRoute
from budflow.model.identity import utc_now
from budflow.model.principal import Principal
from budflow.model.workflow import VersionNotFound, WebhookRoute, WorkflowNotFound
from budflow.nodes.trigger.schedule import ScheduleParams
from budflow.nodes.trigger.webhook import WebhookParams
from budflow.services.check_credentials import check_document
from budflow.services.declared_inputs import Inputs, declared_inputs
from budflow.services.error_workflow import check_error_workflow
from budflow.services.schedule_views import NEXT_SHOWN, next_slots
from budflow.services.use_case import NUMBER_MAX, RequestModel, Services, View, use_case
from budflow.services.views import ProblemView, WorkflowView


class PublishWorkflow(RequestModel):
    """Which version of which workflow."""

    workflow_id: str
    version: int | None = Field(None, ge=1, le=NUMBER_MAX, description="The latest version when left out.")


class PublishedView(View):
    """What is armed now."""

    workflow: WorkflowView
    webhooks: list[str] = Field(description="As `METHOD /webhook/path`.")
    inputs: Inputs = Field(description="What each item needs, by trigger and field.")
    schedules: dict[str, list[datetime]] = Field(default_factory=dict, description="Next runs.")
    problems: list[ProblemView] = Field(default_factory=list, description="What to mend all the same.")


@use_case("workflow:publish")
async def publish_workflow(services: Services, principal: Principal, request: PublishWorkflow) -> PublishedView:
    """Publish a version: from now on its webhooks answer, its schedules start it, and other workflows may call it."""
    record = await services.store.get_workflow(principal.project_id, request.workflow_id)
    if record is None:
        raise WorkflowNotFound(f"There is no workflow {request.workflow_id}.")
    number = request.version or record.latest_version
    version = await services.store.get_version(principal.project_id, record.id, number)
    if version is None:
        raise VersionNotFound(f"The workflow `{record.name}` has no version {number}.")
    author = version.created_by
    checked = await check_document(services, principal, version.document, workflow_id=record.id, author=author)
    workflow = checked.require("publish")
    problems = await check_error_workflow(services, principal, record.id, workflow)
    plan = compile_plan(workflow, services.registry, workflow_id=record.id, version=number)
    routes = webhook_routes(plan, principal.project_id)
    schedules = schedule_routes(plan, principal.project_id)
    published = await services.store.publish(principal.project_id, record.id, number, [*routes, *schedules])
    await services.triggers.refresh()
    services.wakes.tell("triggers", record.id)
    return PublishedView(
        workflow=WorkflowView.of(published),
        webhooks=[f"{route.method} /webhook/{route.path}" for route in routes],
        inputs=declared_inputs(version.document),
        schedules={route.node: next_slots(route.schedule, utc_now(), NEXT_SHOWN) for route in schedules},
        problems=problems,
    )


def webhook_routes(plan: Plan, project_id: str) -> list[WebhookRoute]:
    """The webhooks that a plan arms."""
    routes: list[WebhookRoute] = []
    for number in plan.triggers:
        trigger = plan.nodes[number]
        params = trigger.params.fixed
        if isinstance(params, WebhookParams):
            shape = re.sub(r"\{[^}]*\}", "{}", params.path)
            routes.extend(
                WebhookRoute(project_id, plan.workflow_id, plan.version, trigger.key, method, params.path, shape)
                for method in params.methods
            )
    return routes


def schedule_routes(plan: Plan, project_id: str) -> list[ScheduleRoute]:
    """The schedules that a plan arms."""
    triggers = ((node.key, node.params.fixed) for node in (plan.nodes[number] for number in plan.triggers))
    return [
        ScheduleRoute(project_id, plan.workflow_id, plan.version, key, params.schedule(plan.settings.timezone))
        for key, params in triggers
        if isinstance(params, ScheduleParams)
    ]
