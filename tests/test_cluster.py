"""The figures of whole installations: one process on SQLite, and two runners on one PostgreSQL."""

import re
import signal
import subprocess
from pathlib import Path

import httpx2
import orjson
import pytest

from tests.processes import BUDFLOW, asking, environment, eventually, serving, silence, working

pytestmark = pytest.mark.process


def test_one_process_on_sqlite_shows_itself_and_its_metrics(tmp_path: Path) -> None:
    with serving(tmp_path, BUDFLOW_METRICS_KEY="metrics-0123456789") as server, silence() as service:
        execution_id = server.start(server.create(asking(service.url)))
        service.asked()
        shown = server.client.get("/cluster").json()

        [runner] = shown["runners"]
        assert (runner["id"], runner["pid"]) == (shown["runner"], server.process.pid)
        assert (runner["running"], runner["lease_until"]) == (1, None)
        assert shown["leader"]["here"] is True
        assert shown["database"]["kind"] == "sqlite"
        assert shown["versions"]["tables"] >= "0005"

        scraped = httpx2.get(f"{server.url}/metrics", headers={"Authorization": "Bearer metrics-0123456789"}).text
        assert re.search(r'^budflow_executions\{status="running"\} 1\.0$', scraped, re.MULTILINE)
        assert re.search(r"^budflow_leader 1\.0$", scraped, re.MULTILINE)
        assert float(re.findall(r"^budflow_commit_writes_count (.+)$", scraped, re.MULTILINE)[0]) >= 1

        watch_until_interrupted(tmp_path)
        service.answer()
        eventually(lambda: server.status_of(execution_id) == "succeeded", "the execution ends")


def watch_until_interrupted(data_dir: Path) -> None:
    """`budflow status --watch --json` writes a line a second, and Ctrl-C ends it well."""
    watching = subprocess.Popen(
        [BUDFLOW, "status", "--watch", "--json"],
        env=environment(data_dir),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert watching.stdout is not None
    lines = [orjson.loads(watching.stdout.readline()) for _ in range(2)]
    watching.send_signal(signal.SIGINT)
    _, errors = watching.communicate(timeout=10)

    assert (watching.returncode, errors) == (0, b"")
    assert [line["cluster"]["queue"]["running"] for line in lines] == [1, 1]
    assert lines[0]["cluster"]["at"] < lines[1]["cluster"]["at"]


@pytest.mark.postgres
@pytest.mark.redis
def test_two_runners_on_postgresql_see_each_other(tmp_path: Path, postgres_url: str, redis_url: str) -> None:
    settings = {
        "BUDFLOW_DATABASE_URL": postgres_url,
        "BUDFLOW_REDIS_URL": redis_url,
        "BUDFLOW_LEASE_SECONDS": "3",
    }
    with serving(tmp_path / "main", **settings) as main, working(tmp_path / "main", **settings) as [worker]:
        shown = eventually(
            lambda: len((found := main.client.get("/cluster").json())["runners"]) == 2 and found, "both are known"
        )

        kinds = {runner["kind"]: runner for runner in shown["runners"]}
        assert kinds.keys() == {"main", "worker"}
        assert kinds["worker"]["id"] == worker.runner
        assert 0 < kinds["worker"]["lease_seconds_left"] <= 3
        assert shown["database"]["kind"] == "postgresql"
        assert shown["database"]["latency"]["last_ms"] > 0
        leader = eventually(lambda: main.client.get("/cluster").json()["leader"], "somebody leads")
        assert (leader["holder"], leader["here"]) == (shown["runner"], True)
        redis = main.client.get("/cluster").json()["redis"]
        assert (redis["error"], redis["latency"]["samples"] > 0) == (None, True)

        key = (tmp_path / "main" / "owner.key").read_text().strip()
        headers = {"Authorization": f"Bearer {key}"}
        scraped = eventually(
            lambda: 'change="renewed"' in (text := httpx2.get(f"{main.url}/metrics", headers=headers).text) and text,
            "the lease is renewed",
        )
        for kind in ("main", "worker"):
            assert f'budflow_runners{{kind="{kind}"}} 1.0' in scraped
