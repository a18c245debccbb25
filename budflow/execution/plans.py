"""Plans by version: compiled once, kept as long as they are among the most recently used."""

from collections import OrderedDict

from budflow.execution.ports import VersionSource
from budflow.graph.plan import Plan, compile_plan
from budflow.graph.validate import check
from budflow.model.workflow import NotPublished, VersionNotFound, VersionRecord, WorkflowNotFound
from budflow.nodes.registry import Registry

PLANS_MAX = 1_000


class PlanCache:
    """Versions and their plans. A version never changes, so nothing here is ever stale."""

    def __init__(self, versions: VersionSource, registry: Registry) -> None:
        self._versions, self._registry = versions, registry
        self._kept: OrderedDict[tuple[str, str, int], tuple[VersionRecord, Plan]] = OrderedDict()

    async def get(self, project_id: str, workflow_id: str, version: int) -> tuple[VersionRecord, Plan]:
        """The version and its plan. Raises VersionNotFound, or WorkflowInvalid when it may not run."""
        key = (project_id, workflow_id, version)
        kept = self._kept.get(key)
        if kept is None:
            record = await self._versions.get_version(project_id, workflow_id, version)
            if record is None:
                raise VersionNotFound(f"The workflow {workflow_id} has no version {version}.")
            workflow = check(record.document, self._registry).require("run")
            plan = compile_plan(workflow, self._registry, workflow_id=workflow_id, version=version)
            kept = self._kept[key] = (record, plan)
            if len(self._kept) > PLANS_MAX:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return kept

    async def get_to_run(
        self, project_id: str, workflow_id: str, version: int | None = None
    ) -> tuple[VersionRecord, Plan]:
        """The version to start something new with, None for the published one, and its plan.

        Raises WorkflowNotFound or NotPublished too: versions outlive a deleted workflow only for what began before.
        """
        workflow = await self._versions.get_workflow(project_id, workflow_id)
        if workflow is None:
            raise WorkflowNotFound(f"There is no workflow {workflow_id}.")
        number = version or workflow.published_version
        if number is None:
            raise NotPublished(f"The workflow `{workflow.name}` has no published version.")
        return await self.get(project_id, workflow_id, number)
