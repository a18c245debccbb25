"""Every workflow in examples/ passes the validator and runs; what needs a server or the network is run by the demo,
what needs a sandbox by tests/test_code.py.
"""

from pathlib import Path
from typing import Any

import orjson
import pytest

from budflow.app import open_temporary
from budflow.graph.validate import check
from budflow.model.principal import OWNER
from budflow.nodes.registry import build
from budflow.services.create_workflow import CreateWorkflow, create_workflow
from budflow.services.get_execution import GetExecution, get_execution
from budflow.services.start_execution import StartExecution, start_execution
from budflow.settings import Settings

EXAMPLES = Path(__file__).parents[1] / "examples"
COMMITS = orjson.loads((EXAMPLES / "github/push.json").read_bytes())["commits"]
ORDER = {"lines": [{"article": "A", "quantity": 1, "price": 5}, {"article": "B", "quantity": 20, "price": 2}]}
REQUEST = {"method": "POST", "path": "orders/berlin", "params": {"shop": "berlin"}, "query": {}, "headers": {}}


def workflows() -> dict[str, dict[str, Any]]:
    """The workflow documents by their path below examples/."""
    read = {str(path.relative_to(EXAMPLES)): orjson.loads(path.read_bytes()) for path in EXAMPLES.rglob("*.json")}
    return {name: value for name, value in sorted(read.items()) if "format" in value}


#: What each is started with, by which trigger, and what it comes to. None: it calls others over the network, or runs
#: code.
RUNS: dict[str, tuple[str | None, list[dict[str, Any]], dict[str, Any]] | None] = {
    "hello.json": (None, [{"name": "Ada"}], {"greeting": "Hello, Ada!"}),
    "branches.json": (
        None,
        [ORDER],
        {"article": "B", "quantity": 20, "price": 2, "total": 36.0, "discount": True},
    ),
    "webhook.json": ("order", [{**REQUEST, "body": {"total": 12}}], {**REQUEST, "body": {"total": 12}}),
    "schedule.json": (
        "every_morning",
        [{"weekday": "Monday", "date": "2026-03-30", "slot": "2026-03-30T05:30:00Z"}],
        {"title": "Report of Monday, 2026-03-30", "up_to": "2026-03-30T05:30:00Z"},
    ),
    "code.json": None,
    "github/assess_commits.json": (
        None,
        COMMITS,
        {"risk": "high"},
    ),
    "github/review_push.json": None,
}


def test_every_example_is_run_here_or_by_the_demo() -> None:
    assert workflows().keys() == RUNS.keys()


@pytest.mark.parametrize("name", sorted(workflows()))
def test_every_example_can_be_published(name: str) -> None:
    assert check(workflows()[name], build()).problems == ()


@pytest.mark.parametrize("name", sorted(name for name, run in RUNS.items() if run is not None))
async def test_an_example_comes_to_what_it_promises(name: str) -> None:
    run = RUNS[name]
    assert run is not None
    trigger, items, expected = run
    async with open_temporary(Settings()) as runtime:
        saved = await create_workflow(runtime.services, OWNER, CreateWorkflow(document=workflows()[name]))
        asked = StartExecution(workflow_id=saved.workflow.id, items=items, trigger=trigger, wait_seconds=30)
        started = await start_execution(runtime.services, OWNER, asked)
        detail = await get_execution(runtime.services, OWNER, GetExecution(execution_id=started.execution.id))

    assert detail.execution.status == "succeeded", detail.execution.failure
    assert detail.result is not None
    first = detail.result.items[0]["json"]
    assert expected.items() <= first.items()
