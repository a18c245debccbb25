"""Finding a real cluster, from a process that joins none: strangers and other versions are refused at once."""

import os
import subprocess
import sys

import pytest
from ray._private.utils import compute_version_info

from tests.ray_cluster import RayCluster

pytestmark = [pytest.mark.ray, pytest.mark.xdist_group("ray")]

RAY, PYTHON = compute_version_info()  # type: ignore[no-untyped-call] # Ray gives it no types
#: Looks for a cluster from a process that joins none; its own versions are what the further arguments say.
FIND = """
import sys
from pathlib import Path
from unittest.mock import patch

from budflow.errors import BudflowError
from ray_jobs.join import find

for versions in sys.argv[2:]:
    with patch("ray._private.utils.compute_version_info", lambda: tuple(versions.split("/"))):
        try:
            print(find(sys.argv[1], Path("/tmp")).local)
        except BudflowError as error:
            print(error.code)
"""


def test_a_real_cluster_refuses_strangers_and_other_versions_at_once(two_nodes: RayCluster) -> None:
    def found(token: str | None, *versions: str) -> list[str]:
        environment = {**os.environ, **two_nodes.environment(token)}
        command = [sys.executable, "-c", FIND, two_nodes.address, *versions]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()

    assert found(None, f"{RAY}/{PYTHON}", f"2.9.0/{PYTHON}", f"{RAY}/3.9.1") == [
        *("False", "ray.version_mismatch", "ray.version_mismatch")
    ]
    assert found("0" * 64, f"{RAY}/{PYTHON}") == ["ray.token_refused"]
