"""What the validator says of code nodes under the settings of this server; and how the sandbox is shown."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest

from budflow.graph.parse import parse
from budflow.nodes.registry import build
from budflow.services.check_sandbox import sandbox_problems
from budflow.services.sandbox_view import view_sandbox
from budflow.services.use_case import Services
from budflow.settings import Settings

LIBRARY = build()


def found(settings: Mapping[str, Any], *, disabled: bool = False, **params: Any) -> list[tuple[str, str]]:
    """Code and path of the problems of a code node inside a body."""
    code = {"type": "code.python", "params": {"code": "return {}", **params}, "disabled": disabled}
    body = {"nodes": {"code": code}, "edges": [{"from": "$in", "to": "code"}, {"from": "code", "to": "$out"}]}
    nodes = {"start": {"type": "trigger.manual"}, "each": {"type": "flow.for_each", "bodies": {"body": body}}}
    document = {"format": 1, "name": "n", "nodes": nodes, "edges": [{"from": "start", "to": "each"}]}
    services = SimpleNamespace(settings=Settings(**settings), registry=LIBRARY)
    problems = sandbox_problems(cast(Services, services), parse(document))
    return [(one.code, one.path.removeprefix("/nodes/each/bodies/body/nodes/code")) for one in problems]


def test_a_server_without_a_sandbox_says_so_before_anything_runs() -> None:
    assert found({"sandbox": "off"}) == [("sandbox.off", "/type")]
    assert found({"sandbox": "off"}, disabled=True) == []


def test_more_than_the_server_gives_is_a_problem() -> None:
    settings = {"sandbox_memory_mb_max": 512, "sandbox_timeout_seconds_max": 60}

    assert found(settings, memory_mb=512, timeout_seconds=60) == []
    assert found(settings, memory_mb=513, timeout_seconds=61) == [
        ("sandbox.over_limit", "/params/memory_mb"),
        ("sandbox.over_limit", "/params/timeout_seconds"),
    ]


@pytest.mark.parametrize(("sandbox", "count"), [("process", 2), ("docker", 0), ("auto", 0)])
def test_processes_have_no_packages_and_no_network(sandbox: str, count: int) -> None:
    problems = found({"sandbox": sandbox}, requirements=["polars"], network=["api.example"])

    assert (
        problems
        == [("sandbox.needs_docker", "/params/requirements"), ("sandbox.needs_docker", "/params/network")][:count]
    )
    assert found({"sandbox": sandbox}, requirements=[], network="none") == []


class Told:
    def __init__(self, **told: Any) -> None:
        self._told = told

    async def describe(self) -> Mapping[str, Any]:
        return self._told


async def test_the_view_counts_workers_by_what_they_do_and_labels_processes() -> None:
    workers = [{"state": "busy", "count": 2}, {"state": "idle", "count": 1}, {"state": "busy", "count": 1}]
    sandbox = Told(
        state="running",
        isolation="process",
        runner={"bubblewrap": "0.8"},
        workers=workers,
        workers_max=8,
        queued=1,
        ends={},
    )

    view = await view_sandbox(sandbox, "auto")

    assert (view.wanted, view.state, view.label) == ("auto", "running", "reduced isolation")
    assert view.workers == {"busy": 3, "idle": 1}
    assert view.details == {"ends": {}, "runner": {"bubblewrap": "0.8"}}


async def test_the_view_says_what_is_wrong_with_an_engine_that_went_away() -> None:
    view = await view_sandbox(Told(state="running", isolation="docker", runner={"error": "Docker is gone."}), "docker")

    assert (view.problem, view.label, view.image) == ("Docker is gone.", None, None)
