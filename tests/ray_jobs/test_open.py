"""Starting Ray from settings: what is refused, and that nothing of it stays or speaks when its owner ends."""

import asyncio
import os
import shutil
import signal
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from budflow.runner import open_runner
from budflow.settings import Settings
from ray_jobs.cluster import LOCAL, Cluster, RayStartFailed
from ray_jobs.join import RayUnreachable
from ray_jobs.open import TOKEN_NAME, NeedsPostgresql, check_settings, open_ray
from tests.execution.fakes import until
from tests.ray_session import processes_naming

OWNER = """
import asyncio, sys
from pathlib import Path
from budflow.runner import open_runner
from budflow.settings import Settings
from ray_jobs.open import open_ray

settings = Settings(data_dir=Path(sys.argv[1]), ray_runners=1, ray_dashboard=False)
executor = open_ray(settings, "run_owner", open_runner, num_cpus=1)
print("up", flush=True)
sys.stdin.readline()
asyncio.run(executor.close())
print("down", flush=True)
"""


KEY = "a2V5LW9mLXRoZS1vd25lci10aGF0LXJheS1uZWVkcy1ub3Q="


def _processes_that_know(text: str) -> set[int]:
    """Those of this machine that have a text in their environment."""
    found = set()
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):  # It has just ended.
            if text.encode() in environment.read_bytes():
                found.add(int(environment.parent.name))
    return found


def test_a_cluster_beyond_this_machine_needs_postgresql() -> None:
    with pytest.raises(NeedsPostgresql, match="head:6379"):
        check_settings(Settings(executor="ray", ray_address="head:6379"))

    check_settings(Settings(executor="ray", ray_address="head:6379", database_url="postgresql://localhost/x"))
    check_settings(Settings(executor="ray"))


def test_whatever_ray_raises_when_it_cannot_start_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def late(_: object) -> None:
        raise Exception("The current node timed out during startup.")  # noqa: TRY002 - as Ray does

    monkeypatch.setattr(Cluster, "_init", late)
    monkeypatch.setattr(Cluster, "_shut_down", lambda _: None)

    with pytest.raises(RayStartFailed, match="timed out during startup"):
        Cluster(LOCAL, tmp_path, dashboard=False).start()


@pytest.fixture
def directory() -> Iterator[Path]:
    # Ray's sockets need a short path, which pytest's own directories have not.
    path = Path(tempfile.mkdtemp(prefix="budflow-test-", dir="/tmp"))
    yield path
    shutil.rmtree(path)


@pytest.mark.ray
@pytest.mark.xdist_group("own_ray")
@pytest.mark.parametrize("end", ["closed", "killed"])
async def test_nothing_of_ray_outlives_its_owner_or_writes_to_its_output(directory: Path, end: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    owner = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", OWNER, str(directory)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**environment, "BUDFLOW_ENCRYPTION_KEYS": KEY},
    )
    assert owner.stdin is not None
    assert owner.stdout is not None
    async with asyncio.timeout(60):
        assert await owner.stdout.readline() == b"up\n"
        ours = str(directory / "ray")
        assert processes_naming(ours)
        assert _processes_that_know(KEY) == {owner.pid}
        assert stat.S_IMODE((directory / TOKEN_NAME).stat().st_mode) == 0o600

        if end == "closed":
            owner.stdin.write(b"\n")
            assert await owner.stdout.read() == b"down\n"
        else:
            owner.send_signal(signal.SIGKILL)
        await owner.wait()
        owner.stdin.close()

    await until(lambda: not processes_naming(ours))
    assert (directory / "ray").exists() == (end == "killed")


@pytest.mark.ray
@pytest.mark.xdist_group("own_ray")
def test_a_cluster_that_is_not_there_is_told_before_ray_is_started(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, ray_address="127.0.0.1:1", database_url="postgresql://localhost/x")

    with pytest.raises(RayUnreachable, match=r"127\.0\.0\.1:1"):
        open_ray(settings, "run_1", open_runner)
