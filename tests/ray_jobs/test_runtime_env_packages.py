"""Packages in a runtime environment: `BUDFLOW_RUNTIME_ENVS=1 pytest tests/ray_jobs/test_runtime_env_packages.py`.

Not run by default: Ray copies the whole virtual environment of its node first, which takes half a minute, and tries a
build that fails three times more.
"""

import os
import zipfile
from functools import partial
from pathlib import Path

import pytest

from budflow.model import event as e
from budflow.runtime_envs import RuntimeEnv
from ray_jobs.executor import RayExecutor
from ray_jobs.segment_policy import SegmentPolicy
from ray_jobs.segments import RaySegments
from tests.execution.heavy_nodes import open_test_runner
from tests.ray_jobs.test_segments import begin

__test__ = "BUDFLOW_RUNTIME_ENVS" in os.environ  # Else nothing of this module is collected.
pytestmark = [pytest.mark.ray, pytest.mark.xdist_group("ray")]


def make_wheel(directory: Path) -> None:
    """The distribution `greetings` 1.2.3, of one module, as the wheel format has it (PEP 427)."""
    info = "greetings-1.2.3.dist-info"
    files = {
        "greetings.py": "",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: greetings\nVersion: 1.2.3\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in (*files, f"{info}/RECORD"))
    with zipfile.ZipFile(directory / "greetings-1.2.3-py3-none-any.whl", "w") as wheel:
        for name, content in files.items():
            wheel.writestr(name, content)


def segments(directory: Path, requirement: str) -> RaySegments:
    packages = ("--no-index", f"--find-links={directory}", requirement)
    environment = RuntimeEnv(types=("test.greeting",), installer="pip", packages=packages)
    return RaySegments(partial(open_test_runner, ()), SegmentPolicy({"packages": environment}))


async def test_a_type_has_the_packages_of_its_environment(ray_executor: RayExecutor, tmp_path: Path) -> None:
    make_wheel(tmp_path)

    run, link = begin({"type": "test.greeting"}, segments(tmp_path, "greetings==1.2.3"))
    await run.wait()

    [_, finished] = link.of(e.NodeFinished)
    assert finished.outputs["main"].to_json() == [{"greeting": None, "package": True}]


async def test_a_package_that_is_not_to_be_had_is_named(ray_executor: RayExecutor, tmp_path: Path) -> None:
    run, link = begin({"type": "test.greeting"}, segments(tmp_path, "greetings==1.2.3"))
    await run.wait()

    [failed] = link.of(e.NodeFailed)
    assert failed.failure.code == "ray.runtime_env_failed"
    assert "No matching distribution found for greetings==1.2.3" in failed.failure.message
