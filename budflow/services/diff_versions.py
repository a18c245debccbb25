"""diff_versions: what changed from one version of a workflow to another."""

from typing import Any, Literal

from pydantic import Field

from budflow.graph.compare import Change, compare
from budflow.model.principal import Principal
from budflow.model.workflow import VersionNotFound, WorkflowNotFound, WorkflowRecord
from budflow.services.use_case import NUMBER_MAX, RequestModel, Services, View, use_case


class DiffVersions(RequestModel):
    """Which versions of which workflow."""

    workflow_id: str
    before: int | None = Field(
        None, ge=1, le=NUMBER_MAX, description="The earlier version; the one before `after` when left out."
    )
    after: int | None = Field(None, ge=1, le=NUMBER_MAX, description="The later version; the latest when left out.")


class ChangeView(View):
    """A value that differs."""

    path: str = Field(description="JSON Pointer: into the node for a change of a node, else into the document.")
    before: Any = Field(description="Null where there was none.")
    after: Any = Field(description="Null where there is none any more.")

    @staticmethod
    def of(change: Change) -> "ChangeView":
        """From the comparison's word."""
        return ChangeView(path=change.path, before=change.before, after=change.after)


class NodeChangeView(View):
    """A node that differs."""

    key: str
    type: str
    kind: Literal["added", "removed", "changed"]
    path: str = Field(description="JSON Pointer into the document that has it.")
    changes: list[ChangeView] = Field(description="What of it changed; `/bodies/…` where it has a body more or less.")
    moved_from: str | None = Field(description="Its place before, where that was another graph.")


class EdgeChangeView(View):
    """An edge that only one version has."""

    kind: Literal["added", "removed"]
    source: str
    target: str
    path: str = Field(description="JSON Pointer of the graph that it stands in; empty for the workflow's own.")


class DifferenceView(View):
    """What changed."""

    before: int
    after: int
    equal: bool = Field(description="Whether both mean the same, however they are written.")
    document: list[ChangeView] = Field(description="Name and description.")
    settings: list[ChangeView]
    nodes: list[NodeChangeView]
    edges: list[EdgeChangeView]


@use_case("workflow:read")
async def diff_versions(services: Services, principal: Principal, request: DiffVersions) -> DifferenceView:
    """Compare two versions of a workflow by what they mean: nodes, edges and settings, those in bodies included."""
    record = await services.store.get_workflow(principal.project_id, request.workflow_id)
    if record is None:
        raise WorkflowNotFound(f"There is no workflow {request.workflow_id}.")
    after = request.after or record.latest_version
    before = request.before or max(1, after - 1)
    found = compare(await _document(services, record, before), await _document(services, record, after))
    return DifferenceView(
        before=before,
        after=after,
        equal=found.equal,
        document=[ChangeView.of(one) for one in found.document],
        settings=[ChangeView.of(one) for one in found.settings],
        nodes=[
            NodeChangeView(
                key=one.key,
                type=one.type,
                kind=one.kind,
                path=one.path,
                changes=[ChangeView.of(change) for change in one.changes],
                moved_from=one.moved_from,
            )
            for one in found.nodes
        ],
        edges=[
            EdgeChangeView(kind=one.kind, source=one.source, target=one.target, path=one.path) for one in found.edges
        ],
    )


async def _document(services: Services, record: WorkflowRecord, number: int) -> dict[str, Any]:
    version = await services.store.get_version(record.project_id, record.id, number)
    if version is None:
        raise VersionNotFound(f"The workflow `{record.name}` has no version {number}.")
    return dict(version.document)
