"""Code on a cluster of two Ray nodes: it runs beside the sandboxd of one of them, whoever asks for it."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.ray_cluster import RayCluster, ray_cluster

pytestmark = [pytest.mark.ray, pytest.mark.xdist_group("own_ray")]

PLUGINS = json.dumps([{"class": "ray_jobs.sandbox_env.SandboxEnv"}])
#: Serves code without any isolation, which only tests do.
SANDBOXD = """
import asyncio, sys
from pathlib import Path
from budflow.sandbox.daemon import Isolator, serving
from budflow.sandbox.daemon_settings import DaemonSettings
from tests.sandbox.subprocess_runner import SubprocessRunner

async def isolate(owner):
    return Isolator(SubprocessRunner())

async def main():
    settings = DaemonSettings(directory=Path(sys.argv[1]), workers_warm=0, drain_seconds=0)
    async with serving(settings, isolate):
        print("up", flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""
#: A process of the cluster that has the key and no sandboxd beside it.
ASKER = """
import asyncio, sys
from functools import partial
from pathlib import Path
import orjson
from ray_jobs.cluster import Cluster
cluster = Cluster(sys.argv[1], Path("/nowhere"), dashboard=False)
cluster.start()
import ray
from ray._private.state import actors
from budflow.errors import BudflowError
from ray_jobs.sandbox import RaySandboxes
from ray_jobs.sandbox_node import sign
from tests.sandbox.tasks import Lines, task, values

async def main():
    sandbox = RaySandboxes(partial(sign, Path(sys.argv[2]))).of("prj_1")
    try:
        code, items = "return [{'sum': sum(item['n'] for item in items)}]", [{"n": n} for n in range(30_000)]
        given = await values(sandbox, task(code, items))
    except BudflowError as error:
        return {"code": error.code, "message": error.message, "hint": error.hint}
    [relay] = [one for one in actors().values() if one["State"] == "ALIVE"]
    has = {node["NodeID"]: "sandbox" in node["Resources"] for node in ray.nodes()}
    here, there = ray.get_runtime_context().get_node_id(), relay["Address"]["NodeID"]
    return {"given": given, "here": has[here], "relay": has[there]}

print(orjson.dumps(asyncio.run(main())).decode())
cluster.stop()
"""


@pytest.fixture
def sandboxd() -> Iterator[Path]:
    """The directory of one that serves."""
    with (
        tempfile.TemporaryDirectory(prefix="bf-sandbox-", dir="/tmp") as directory,
        subprocess.Popen(
            [sys.executable, "-c", SANDBOXD, directory], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process,
    ):
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        yield Path(directory)
        process.communicate(b"", timeout=20)


def asked(cluster: RayCluster, directory: Path) -> dict[str, Any]:
    """What becomes of some code that the head's node asks for."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "BUDFLOW_"))}
    done = subprocess.run(
        [sys.executable, "-c", ASKER, cluster.address, str(directory)],
        env={**environment, **cluster.environment()},
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = orjson.loads(done.stdout.splitlines()[-1])
    return found


def test_code_runs_on_the_node_that_has_a_sandbox(sandboxd: Path) -> None:
    variables = {"RAY_RUNTIME_ENV_PLUGINS": PLUGINS, "BUDFLOW_SANDBOX_ADDRESS": f"unix:{sandboxd / 'sandboxd.sock'}"}
    with ray_cluster("--num-cpus=1", "--include-dashboard=false", variables=variables) as cluster:
        refused = asked(cluster, sandboxd)
        cluster.add("--num-cpus=1", '--resources={"sandbox": 1}')
        ran = asked(cluster, sandboxd)

    assert refused["code"] == "sandbox.unavailable"
    assert "budflow sandbox serve" in refused["hint"]
    assert ran == {"given": [{"sum": 449985000}], "here": False, "relay": True}


def test_a_node_without_the_plugin_is_told(sandboxd: Path) -> None:
    variables = {"BUDFLOW_SANDBOX_ADDRESS": f"unix:{sandboxd / 'sandboxd.sock'}"}
    resources = '--resources={"sandbox": 1}'
    with ray_cluster("--num-cpus=1", "--include-dashboard=false", resources, variables=variables) as cluster:
        refused = asked(cluster, sandboxd)

    assert refused["code"] == "sandbox.unavailable"
    assert "RAY_RUNTIME_ENV_PLUGINS" in refused["hint"]
