"""`budflow worker --ray` on a real cluster: its actors run executions, come back when killed, are shared, and drain."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest

from budflow.credentials.settings_hand_over import Given
from budflow.settings import Settings
from ray_jobs import worker_pool
from ray_jobs.cluster import Joined
from ray_jobs.placement import RayNode, Wanted
from ray_jobs.pool_status import PoolStatus
from ray_jobs.worker_pool import RayConnectionLost, WorkerPool
from tests.canaries.canary import Search, new_canary
from tests.credentials.samples import key_text
from tests.processes import BUDFLOW, SECONDS, Serving, asking, command, environment, eventually, serving, silence
from tests.ray_cluster import RayCluster, ray_cluster

pytestmark = [
    *(pytest.mark.process, pytest.mark.postgres, pytest.mark.ray),
    pytest.mark.xdist_group("ray"),
]

#: A dead actor is noticed, and not only its lease found to be over. `make chaos` measures how soon.
RECOVERY_SECONDS_MAX = 10.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    with ray_cluster("--num-cpus=2") as running:
        yield running


@pytest.fixture
def main(tmp_path: Path, postgres_url: str) -> Iterator[Serving]:
    """A server that leaves the queue to workers."""
    with serving(tmp_path, BUDFLOW_DATABASE_URL=postgres_url, BUDFLOW_CLAIM="false") as server:
        yield server


class Keeping:
    """A running `budflow worker --ray`; what it tells gathers in `log`."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process, self._log = process, log

    def told(self) -> dict[str, Any]:
        """What it told last."""
        lines = self._log.read_bytes().splitlines(keepends=True)
        whole = [line for line in lines if line.endswith(b"\n")]
        return dict(orjson.loads(whole[-1])) if whole else {}

    def up(self, count: int = 2) -> list[int]:
        """The processes of its actors, when so many are running."""

        def running() -> list[int]:
            pids = [one["pid"] for one in self.told().get("runners", ()) if one["state"] == "running"]
            return pids if len(pids) == count else []

        pids: list[int] = eventually(running, f"{count} actors are up: {self.told()}")
        return pids

    def stop(self) -> dict[str, Any]:
        """SIGTERM it; what it told at the end."""
        self.process.terminate()
        assert self.process.wait(SECONDS) == 0
        return self.told()


@contextmanager
def keeping(cluster: RayCluster, main: Serving, url: str, *args: str, **settings: str) -> Iterator[Keeping]:
    """Such a worker beside a main, whose directory it shares; at the end it is gone."""
    number = len(list(main.data_dir.glob("worker-*")))
    log = main.data_dir / f"worker-{number}"
    with log.open("wb") as stdout, log.with_name(f"errors-{number}").open("wb") as stderr:
        process = subprocess.Popen(
            [BUDFLOW, "worker", "--ray", cluster.address, "--json", *args],
            env=environment(main.data_dir, BUDFLOW_DATABASE_URL=url, **cluster.environment(), **settings),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
        )
    try:
        yield Keeping(process, log)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(SECONDS)


def place_of(main: Serving, execution_id: str, key: str) -> dict[str, Any]:
    """Where a node ran."""
    nodes = main.client.get(f"/executions/{execution_id}").json()["nodes"]
    return dict(next(node for node in nodes if node["key"] == key)["place"])


def test_an_execution_goes_on_when_its_actor_is_killed_and_no_secret_is_left(
    cluster: RayCluster, main: Serving, postgres_url: str
) -> None:
    password, key, secret = new_canary("password"), key_text(0xCA), new_canary("aws")
    url = postgres_url.replace("postgres@", f"postgres:{password}@")
    given = {"BUDFLOW_ENCRYPTION_KEYS": key, "AWS_SECRET_ACCESS_KEY": secret, "BUDFLOW_LOG_LEVEL": "debug"}
    with keeping(cluster, main, url, **given) as worker, silence() as service:
        before = worker.up()
        execution_id = main.start(main.create(asking(service.url)))
        service.asked()
        place = place_of(main, execution_id, "ask")
        assert (place["executor"], place["pid"] in before) == ("ray", True)

        os.kill(place["pid"], signal.SIGKILL)
        killed_at = time.monotonic()
        service.asked()

        assert time.monotonic() - killed_at < RECOVERY_SECONDS_MAX
        service.answer()
        eventually(lambda: main.status_of(execution_id) == "succeeded", "it ends")
        assert place_of(main, execution_id, "ask")["pid"] != place["pid"]
        eventually(lambda: place["pid"] not in worker.up(), "the actor is back as another process")
        search = Search([password, key, secret])
        _look_at_ray(cluster, search, {*cluster.processes()} - {worker.process.pid})
        assert worker.stop() == {"ended": 2, "kept_by_others": 0}
    search.files(cluster.directory)
    search.files(main.data_dir)
    assert search.hits == []
    assert search.searched > 1_000_000


def test_workers_share_their_actors_and_the_last_one_drains_them(
    cluster: RayCluster, main: Serving, postgres_url: str
) -> None:
    with keeping(cluster, main, postgres_url) as one, silence() as service:
        actors = one.up()
        with keeping(cluster, main, postgres_url) as other:
            assert other.up() == actors

            assert one.stop() == {"ended": 0, "kept_by_others": 2}

            execution_id = main.start(main.create(asking(service.url)))
            service.asked()
            other.process.terminate()
            eventually(lambda: _draining(main), "the actors take no more")
            service.answer()
            other.process.wait(SECONDS)
            assert other.told() == {"ended": 2, "kept_by_others": 0}
            assert main.status_of(execution_id) == "succeeded"
            eventually(lambda: not {*actors} & {*cluster.processes()}, "their processes are gone")


def test_what_cannot_be_had_is_told_at_once(cluster: RayCluster, main: Serving, postgres_url: str) -> None:
    with keeping(cluster, main, postgres_url, "--label", "tier=none") as worker:
        told = eventually(lambda: worker.told().get("problems"), "the problem is told")
        assert [problem["code"] for problem in told] == ["ray.no_node_fits"]
        assert "the label tier=none" in told[0]["message"]
        assert worker.stop() == {"ended": 0, "kept_by_others": 0}

    stranger = {"BUDFLOW_DATABASE_URL": postgres_url, **cluster.environment("0" * 64)}
    refused = command(main.data_dir, "worker", "--ray", cluster.address, exits=1, **stranger)
    assert "ray.token_refused" in refused.stderr


def test_an_actor_whose_node_died_under_it_ends_what_it_runs_and_then_itself(
    cluster: RayCluster, main: Serving, postgres_url: str
) -> None:
    node = cluster.add_unreaped("--num-cpus=1", "--labels=tier=orphan")
    with keeping(cluster, main, postgres_url, "--label", "tier=orphan") as worker, silence() as service:
        [actor] = worker.up(1)
        execution_id = main.start(main.create(asking(service.url)))
        service.asked()
        raylet = _parent_of(actor)

        cluster.kill_raylet(node)

        eventually(lambda: _parent_of(actor) != raylet, "it is an orphan")
        service.answer()
        eventually(lambda: main.status_of(execution_id) == "succeeded", "it ends what it runs")
        assert place_of(main, execution_id, "ask")["pid"] == actor
        assert main.client.get(f"/executions/{execution_id}").json()["execution"]["takeovers"] == 0
        eventually(lambda: actor not in cluster.processes(), "it has ended itself")
        worker.process.kill()  # It would wait for the actor, which has no node any more.


async def test_a_worker_outlives_its_head_and_not_the_node_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[OSError | list[RayNode]] = [
        OSError("the head is away"),
        [RayNode("here", "one", {}, {})],
        [RayNode("there", "two", {}, {})],
    ]
    told: list[PoolStatus] = []

    def nodes() -> list[RayNode]:
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    monkeypatch.setattr(worker_pool, "list_nodes", nodes)
    monkeypatch.setattr(worker_pool, "NODES_SECONDS", 0.01)
    pool = WorkerPool(Given(Settings()), Wanted(), Joined("head:6379", None, {}, "here"))

    with pytest.raises(RayConnectionLost):
        await pool.keep(asyncio.Event(), told.append)
    assert [len(status.problems) for status in told] == [0, 1]
    assert answers == []


def _parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _draining(main: Serving) -> bool:
    """Whether of two actors the idle one has gone."""
    runners = main.client.get("/cluster").json()["runners"]
    return len([one for one in runners if one["kind"] == "ray"]) == 1


def _look_at_ray(cluster: RayCluster, search: Search, processes: set[int]) -> None:
    """What Ray's dashboard shows of tasks, actors and workers, and what its processes were started with."""
    with httpx2.Client(headers={"Authorization": f"Bearer {cluster.token}"}, timeout=SECONDS) as client:
        for path in ("tasks", "actors", "objects", "workers", "jobs", "runtime_envs"):
            answer = client.get(f"{cluster.dashboard}/api/v0/{path}?detail=1&limit=1000")
            assert answer.status_code == 200, (path, answer.text)
            search.data(f"Ray's {path}", answer.content)
            assert path != "actors" or b"budflow-runner-" in answer.content
    for pid in processes:
        for what in ("environ", "cmdline"):
            search.data(f"{what} of {pid}", Path(f"/proc/{pid}/{what}").read_bytes())
