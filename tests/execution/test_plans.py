"""Plans by version: what runs was checked, and what is only shown need not pass today's checks."""

from typing import Any

import pytest

from budflow.execution.plans import PlanCache, VersionUnreadable
from budflow.graph.plan import NodeTypeMissing
from budflow.model.identity import utc_now
from budflow.model.problem import WorkflowInvalid
from budflow.model.workflow import VersionNotFound, VersionRecord, WorkflowRecord
from budflow.nodes.registry import build
from tests.http_server import workflow

GOOD = workflow({"start": ("trigger.manual", {}), "end": ("flow.no_op", {})}, ("start", "end"))
#: It has a problem that forbids running, such as a check of a later release may find in an old version.
UNCHECKED = workflow({"end": ("flow.no_op", {})})


class Versions:
    """Meets VersionSource with one workflow of one version, and counts how often it is asked for that."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._version = VersionRecord("wf_1", "default", 1, document, utc_now(), "me")
        self.reads = 0

    async def get_workflow(self, project_id: str, workflow_id: str) -> WorkflowRecord | None:
        return None

    async def get_version(self, project_id: str, workflow_id: str, version: int) -> VersionRecord | None:
        self.reads += 1
        return self._version if version == 1 else None


def plans(document: dict[str, Any]) -> tuple[PlanCache, Versions]:
    versions = Versions(document)
    return PlanCache(versions, build()), versions


async def test_a_version_is_compiled_once_for_running_and_for_showing() -> None:
    cache, versions = plans(GOOD)

    _, shown = await cache.get_to_show("default", "wf_1", 1)

    assert (await cache.get("default", "wf_1", 1))[1] is shown
    assert (await cache.get_to_show("default", "wf_1", 1))[1] is shown
    assert versions.reads == 1


async def test_what_may_not_run_can_be_shown_and_still_may_not_run() -> None:
    cache, _ = plans(UNCHECKED)

    _, plan = await cache.get_to_show("default", "wf_1", 1)

    assert [node.key for node in plan.nodes] == ["end"]
    with pytest.raises(WorkflowInvalid):
        await cache.get("default", "wf_1", 1)


async def test_what_this_release_does_not_know_is_one_clear_error() -> None:
    unknown_type, _ = plans(workflow({"start": ("trigger.manual", {}), "a": ("gone.type", {})}, ("start", "a")))
    unknown_port, _ = plans(
        workflow(
            {"start": ("trigger.manual", {}), "a": ("flow.if", {"condition": True}), "b": ("flow.no_op", {})},
            ("a.perhaps", "b"),
        )
    )
    no_document, _ = plans({"format": 99})

    for cache, error in (
        (unknown_type, NodeTypeMissing),
        (unknown_port, VersionUnreadable),
        (no_document, WorkflowInvalid),
    ):
        with pytest.raises(error):
            await cache.get_to_show("default", "wf_1", 1)
    with pytest.raises(NodeTypeMissing, match=r"wf_1 .*`gone\.type`"):
        await unknown_type.get("default", "wf_1", 1)
    with pytest.raises(VersionNotFound):
        await no_document.get_to_show("default", "wf_1", 2)
