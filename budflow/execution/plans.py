"""Plans by version: compiled once, kept as long as they are among the most recently used."""

from collections import OrderedDict
from dataclasses import dataclass, replace

from budflow.errors import BudflowError
from budflow.execution.ports import VersionSource
from budflow.graph.parse import parse
from budflow.graph.plan import NodeTypeMissing, Plan, compile_plan
from budflow.graph.up_to import up_to
from budflow.graph.validate import check
from budflow.model.problem import WorkflowInvalid
from budflow.model.workflow import NotPublished, VersionNotFound, VersionRecord, Workflow, WorkflowNotFound
from budflow.nodes.registry import Registry

PLANS_MAX = 1_000


class VersionUnreadable(BudflowError):
    """This release cannot read the version any more."""

    code = "workflow.version_unreadable"
    http_status = 422
    hint = (
        "Validate its document to see why. What an execution of it did stands in the execution's events all the same."
    )


@dataclass(frozen=True, slots=True)
class _Kept:
    """`may_run` says that the validator let the version pass."""

    record: VersionRecord
    plan: Plan
    may_run: bool
    until: str | None


class PlanCache:
    """Versions and their plans. A version never changes, so nothing here is ever stale."""

    def __init__(self, versions: VersionSource, registry: Registry) -> None:
        self._versions, self._registry = versions, registry
        self._kept: OrderedDict[tuple[str, str, int, str | None], _Kept] = OrderedDict()

    async def get(
        self, project_id: str, workflow_id: str, version: int, until: str | None = None
    ) -> tuple[VersionRecord, Plan]:
        """The version and its plan, both cut down to the node `until` and what leads to it, where one is named.

        For what was fit to run once: raises VersionNotFound, NodeNotInWorkflow, NodeTypeMissing where this server lacks
        a type of it, and WorkflowInvalid when it may not run otherwise.
        """
        try:
            return await self.get_to_try(project_id, workflow_id, version, until)
        except WorkflowInvalid as error:
            lacking = next((one for one in error.problems if one.code == NodeTypeMissing.code), None)
            if lacking is None:
                raise
            message = f"Version {version} of {workflow_id} cannot run here. {lacking.message}"
            raise NodeTypeMissing(message) from error

    async def get_to_try(
        self, project_id: str, workflow_id: str, version: int, until: str | None = None
    ) -> tuple[VersionRecord, Plan]:
        """The same of a version that may be a draft: where it may not run, WorkflowInvalid has all its problems."""
        kept = self._kept.get((project_id, workflow_id, version, until))
        if kept is None or not kept.may_run:
            record = await self._record(project_id, workflow_id, version, until) if kept is None else kept.record
            workflow = check(record.document, self._registry).require("run")
            plan = self._compiled(workflow, record) if kept is None else kept.plan
            kept = _Kept(record, plan, may_run=True, until=until)
        return self._keep(kept)

    async def get_to_show(
        self, project_id: str, workflow_id: str, version: int, until: str | None = None
    ) -> tuple[VersionRecord, Plan]:
        """The version and its plan, for telling what an execution of it did; the validator is not asked.

        Raises VersionNotFound, WorkflowInvalid, NodeTypeMissing and VersionUnreadable.
        """
        kept = self._kept.get((project_id, workflow_id, version, until))
        if kept is None:
            record = await self._record(project_id, workflow_id, version, until)
            try:
                plan = self._compiled(parse(record.document), record)
            except (LookupError, ValueError) as error:  # A port or a parameter that this release does not know.
                message = f"Version {version} of {workflow_id} cannot be compiled: {type(error).__name__}."
                raise VersionUnreadable(message) from error
            kept = _Kept(record, plan, may_run=False, until=until)
        return self._keep(kept)

    async def get_to_run(
        self, project_id: str, workflow_id: str, version: int | None = None
    ) -> tuple[VersionRecord, Plan]:
        """The version to start something new with, None for the published one, and its plan.

        Raises WorkflowNotFound or NotPublished too: versions outlive a deleted workflow only for what began before.
        What may not run is a WorkflowInvalid with all its problems, for who can mend them.
        """
        workflow = await self._versions.get_workflow(project_id, workflow_id)
        if workflow is None:
            raise WorkflowNotFound(f"There is no workflow {workflow_id}.")
        number = version or workflow.published_version
        if number is None:
            raise NotPublished(f"The workflow `{workflow.name}` has no published version.")
        return await self.get_to_try(project_id, workflow_id, number)

    async def _record(self, project_id: str, workflow_id: str, version: int, until: str | None) -> VersionRecord:
        record = await self._versions.get_version(project_id, workflow_id, version)
        if record is None:
            raise VersionNotFound(f"The workflow {workflow_id} has no version {version}.")
        return record if until is None else replace(record, document=up_to(record.document, until))

    def _compiled(self, workflow: Workflow, record: VersionRecord) -> Plan:
        return compile_plan(
            workflow,
            self._registry,
            workflow_id=record.workflow_id,
            version=record.version,
            author=record.created_by,
        )

    def _keep(self, kept: _Kept) -> tuple[VersionRecord, Plan]:
        record = kept.record
        key = (record.project_id, record.workflow_id, record.version, kept.until)
        self._kept[key] = kept
        self._kept.move_to_end(key)
        if len(self._kept) > PLANS_MAX:
            self._kept.popitem(last=False)
        return record, kept.plan
