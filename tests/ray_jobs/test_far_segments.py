"""Heavy segments on another Ray node than the runner actor that has their execution: their log, and their end."""

import time
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import workflow
from tests.execution.everywhere import keeping_actors
from tests.processes import Serving, eventually, serving, silence
from tests.ray_cluster import RayCluster

pytestmark = [
    *(pytest.mark.process, pytest.mark.postgres, pytest.mark.ray),
    pytest.mark.xdist_group("ray"),
]

CANCEL_SECONDS_MAX = 2.0
FAR = {"resources": {"num_cpus": 1, "far": 1}}


def noting(message: str) -> dict[str, Any]:
    return {"type": "flow.log", "params": {"message": message}}


def lines(main: Serving, execution_id: str) -> list[tuple[str, str]]:
    """What it logged so far: node and message, without what Ray says while it makes room."""
    told = main.client.get(f"/executions/{execution_id}/logs").json()["lines"]
    return [
        (line["node"], line["message"])
        for line in told
        if line["source"] == "node" and not line["message"].startswith(("Waits on Ray", "Begins"))
    ]


def test_its_log_comes_in_order_while_it_runs_and_cancelling_ends_it_within_two_seconds(
    two_nodes: RayCluster, tmp_path: Path, postgres_url: str
) -> None:
    asking = {"type": "http.request", "params": {"url": "{{ $json.url }}"}, **FAR}
    nodes = {
        "start": {"type": "trigger.manual"},
        "near": noting("From near"),
        "far": {**noting("From far"), **FAR},
        "ask": {**asking, "on_error": "continue"},
    }
    document = workflow(nodes, ("start", "near"), ("near", "far"), ("far", "ask"))
    with (
        serving(tmp_path, BUDFLOW_DATABASE_URL=postgres_url, BUDFLOW_CLAIM="false") as main,
        keeping_actors(two_nodes, tmp_path, postgres_url, "--label", "side=near"),
        silence() as service,
    ):
        body = {"items": [{"url": f"{main.url}/healthz"}, {"url": service.url}]}
        answer = main.client.post(f"/workflows/{main.create(document)}/executions", json=body)
        execution_id = answer.json()["execution"]["id"]
        service.asked()
        early = eventually(lambda: [*lines(main, execution_id)][4:] and lines(main, execution_id), "it logs live")
        assert main.status_of(execution_id) == "running"

        cancelled_at = time.monotonic()
        main.client.post(f"/executions/{execution_id}/cancel", json={}).raise_for_status()
        service.hung_up()

        assert time.monotonic() - cancelled_at < CANCEL_SECONDS_MAX
        eventually(lambda: main.status_of(execution_id) == "cancelled", "it ends")
        assert early == lines(main, execution_id)
        assert [node for node, _ in early] == ["near", "near", "far", "far", "ask"]
        assert early[-1][1].endswith(": 200 OK")
