"""plan_workflow: how a version will be run: what is fused, what goes where, and why."""

from typing import Literal

from pydantic import Field

from budflow.graph.explain import Explained, explain
from budflow.graph.plan import compile_plan
from budflow.graph.validate import check
from budflow.model.principal import Principal
from budflow.model.workflow import VersionNotFound, WorkflowNotFound
from budflow.services.use_case import NUMBER_MAX, RequestModel, Services, View, use_case


class PlanWorkflow(RequestModel):
    """Which version of which workflow."""

    workflow_id: str
    version: int | None = Field(None, ge=1, le=NUMBER_MAX, description="The latest version when left out.")


class SegmentView(View):
    """What runs in one place."""

    number: int = Field(description="As the nodes of an execution have it in `segment`.")
    nodes: list[str] = Field(description="The keys of its nodes, in their order.")
    path: list[str] = Field(description="The bodies that it stands in, from the outside in.")
    where: Literal["runner", "by_cost", "apart", "execution"] = Field(
        description="In the runner of the execution; there, or in chunks of rounds in other processes, by what "
        "those turn out to cost; apart, in a process of the server's pool or a Ray task; or in an execution of its own."
    )
    why: str
    ends: str | None = Field(description="Why it ends where it does; null where nothing follows.")
    resources: dict[str, float] = Field(description="What it asks for where it runs apart.")
    labels: dict[str, str] = Field(description="What it asks there of the labels of a Ray node.")

    @staticmethod
    def of(explained: Explained) -> "SegmentView":
        """From the plan's word."""
        return SegmentView(
            number=explained.number,
            nodes=list(explained.nodes),
            path=list(explained.path),
            where=explained.where,
            why=explained.why,
            ends=explained.ends,
            resources=dict(explained.resources),
            labels=dict(explained.labels),
        )


class PlanView(View):
    """The segments of a version."""

    workflow_id: str
    version: int
    executor: str = Field(description="Where executions of this server run: inprocess or ray.")
    segments: list[SegmentView]


@use_case("workflow:read")
async def plan_workflow(services: Services, principal: Principal, request: PlanWorkflow) -> PlanView:
    """Tell how a version will be run, without running it. Raises WorkflowInvalid where it could not be run at all."""
    record = await services.store.get_workflow(principal.project_id, request.workflow_id)
    if record is None:
        raise WorkflowNotFound(f"There is no workflow {request.workflow_id}.")
    number = request.version or record.latest_version
    version = await services.store.get_version(principal.project_id, record.id, number)
    if version is None:
        raise VersionNotFound(f"The workflow `{record.name}` has no version {number}.")
    workflow = check(version.document, services.registry).require("run")
    plan = compile_plan(workflow, services.registry, workflow_id=record.id, version=number)
    return PlanView(
        workflow_id=record.id,
        version=number,
        executor=services.supervisor.status()["executor"]["name"],
        segments=[SegmentView.of(explained) for explained in explain(plan)],
    )
