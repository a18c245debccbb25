"""Where code goes on a cluster: to a node with a sandbox, and nowhere where there is none."""

from pathlib import Path

import pytest

from budflow.execution.tools import Tools, no_sandbox
from budflow.model.execution import Place
from budflow.model.sandbox import SandboxUnavailable
from budflow.settings import Settings
from ray_jobs.living_nodes import LivingNodes, Seen
from ray_jobs.placement import RayNode
from ray_jobs.sandbox_place import SandboxPlace
from ray_jobs.sandbox_relays import Relays
from ray_jobs.segment_policy import SegmentPolicy
from tests.nodes.harness import FakeHttp


class FakeNodes(LivingNodes):
    """A cluster of these nodes."""

    def __init__(self, *nodes: RayNode) -> None:
        super().__init__()
        self._seen = Seen(nodes, {})

    async def look(self) -> Seen:
        return self._seen


async def test_without_a_node_that_has_a_sandbox_code_fails_at_once() -> None:
    nodes = FakeNodes(RayNode("a" * 56, "plain.example", {"CPU": 4}, {}))

    async def sign(project_id: str, image: str) -> str:
        return ""

    relays = Relays(sign, nodes)

    with pytest.raises(SandboxUnavailable, match=r"plain\.example") as refused:
        await relays.find("prj_1", (), egress=False, on_progress=print)

    assert "budflow sandbox serve" in refused.value.hint


async def test_without_a_key_code_fails_at_once(tmp_path: Path) -> None:
    from ray_jobs.sandbox_node import sign

    with pytest.raises(SandboxUnavailable, match="key"):
        await sign(tmp_path, "prj_1", "")


def test_processes_of_ray_find_the_sandboxd_of_the_server() -> None:
    settings = Settings(data_dir=Path("/var/lib/budflow"))

    assert SandboxPlace.wanted(settings) == SandboxPlace(Path("/var/lib/budflow/sandbox"))


def test_nodes_of_a_cluster_have_one_of_their_own() -> None:
    far = Settings(ray_address="head:6379")
    there = far.model_copy(update={"sandbox_address": "unix:/srv/code/sandboxd.sock"})

    assert SandboxPlace.wanted(far) == SandboxPlace(Path("/run/budflow"))
    assert SandboxPlace.wanted(there) == SandboxPlace(Path("/srv/code"))


def test_where_the_settings_allow_no_code_ray_runs_none() -> None:
    off = SegmentPolicy.of(Settings(sandbox="off"))
    tools = Tools(Place("ray", "here", 1), FakeHttp())

    assert off.sandbox is None
    assert off.with_sandbox(tools).sandbox_of is no_sandbox
    assert SegmentPolicy.of(Settings()).with_sandbox(tools).sandbox_of is not no_sandbox
