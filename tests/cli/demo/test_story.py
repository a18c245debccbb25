"""The demo, as a newcomer runs it: a real server, a real MCP client, a real webhook."""

import json
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from budflow.cli.demo.story import EXAMPLES, with_mistakes
from budflow.graph.validate import check
from budflow.nodes.registry import build

ROOT = Path(__file__).parents[3]


def run_demo(executor: str) -> subprocess.CompletedProcess[str]:
    program = "from budflow.cli.main import main; main()"
    command = [sys.executable, "-c", program, "demo", "--executor", executor, "--json"]
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=180, cwd=ROOT, check=False
    )


def test_the_example_workflows_are_right_and_the_wrong_draft_is_wrong_in_many_ways() -> None:
    registry = build()
    for name in ("assess_commits.json", "review_push.json"):
        assert check(orjson.loads((EXAMPLES / name).read_bytes()), registry).problems == ()
    wrong = with_mistakes(orjson.loads((EXAMPLES / "review_push.json").read_bytes()))

    codes = {problem.code for problem in check(wrong, registry).problems}

    assert {
        "node.unknown_type",
        "edge.unknown_port",
        "edge.unknown_node",
        "params.unknown_field",
        "expression.unknown_node",
    } <= codes


@pytest.mark.process
def test_the_demo_does_the_main_job_in_process() -> None:
    done = run_demo("inprocess")

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["answer"]["repository"] == "acme/storefront"
    assert told["answer"]["commits"] == 4
    assert told["parent"]["execution"]["status"] == "succeeded"
    assert {node["place"]["executor"] for node in told["parent"]["nodes"]} == {"inprocess"}
    assert "problems at once" in done.stderr


@pytest.mark.ray
@pytest.mark.xdist_group("own_ray")
@pytest.mark.process
def test_the_demo_runs_the_sub_workflow_in_another_ray_actor() -> None:
    done = run_demo("ray")

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    parent, child = told["parent"]["nodes"][0]["place"], told["child"]["nodes"][0]["place"]
    assert child["executor"] == "ray"
    assert child["actor"] != parent["actor"]
    assert child["pid"] != parent["pid"]
    assert told["dashboard"].startswith("http://127.0.0.1:")
