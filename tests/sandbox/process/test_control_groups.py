"""Control groups of both versions, over directories like the kernel's, and over its own where it lets us."""

import asyncio
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from budflow.sandbox.process.control_groups import ControlGroup, ControlGroups, find_control_groups
from budflow.sandbox.runners import Limits
from tests.until import until

LIMITS = Limits(processes=10, cpus=0.5)


def test_of_version_1_each_controller_has_a_hierarchy(tmp_path: Path) -> None:
    for name in ("memory/of/us", "pids", "cpu,cpuacct"):
        (tmp_path / name).mkdir(parents=True)
    mounts = "".join(
        f"cgroup {tmp_path}/{name} cgroup rw,{name} 0 0\n" for name in ("memory", "pids", "cpu,cpuacct", "freezer")
    )

    found = find_control_groups(mounts, "3:memory:/of/us\n2:pids:/not/there\n1:cpu,cpuacct:/\n0::/\n")

    assert found == ControlGroups(
        1,
        {"memory": tmp_path / "memory/of/us", "pids": tmp_path / "pids", "cpu": tmp_path / "cpu,cpuacct"},
    )


def test_of_version_2_there_is_one_hierarchy_and_only_what_it_gives_on(tmp_path: Path) -> None:
    ours = tmp_path / "system.slice"
    ours.mkdir()
    (ours / "cgroup.controllers").write_text("memory pids io")
    (ours / "cgroup.subtree_control").write_text("")
    mounts = f"cgroup2 {tmp_path} cgroup2 rw 0 0\n"

    found = find_control_groups(mounts, "0::/system.slice\n")

    assert found == ControlGroups(2, {"memory": ours, "pids": ours})
    assert (ours / "cgroup.subtree_control").read_text() == "+memory +pids"


def test_where_none_can_be_made_there_are_none(tmp_path: Path) -> None:
    assert find_control_groups("", "0::/\n") is None
    assert find_control_groups(f"cgroup2 {tmp_path}/missing cgroup2 rw 0 0\n", "0::/\n") is None
    assert find_control_groups(f"cgroup {tmp_path}/missing cgroup rw,memory 0 0\n", "1:memory:/\n") is None


@pytest.mark.parametrize(
    ("version", "files"),
    [
        (
            1,
            {
                "memory.limit_in_bytes": str(64 << 20),
                "memory.memsw.limit_in_bytes": str(64 << 20),
                "pids.max": "13",
                "cpu.cfs_period_us": "100000",
                "cpu.cfs_quota_us": "50000",
            },
        ),
        (2, {"memory.max": str(64 << 20), "memory.swap.max": "0", "pids.max": "13", "cpu.max": "50000 100000"}),
    ],
)
def test_a_group_has_the_limits_that_the_kernel_knows(
    tmp_path: Path, version: int, files: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make = Path.mkdir

    def like_the_kernel(self: Path) -> None:
        make(self)
        for name in files:
            (self / name).touch()

    groups = ControlGroups(1 if version == 1 else 2, dict.fromkeys(("memory", "pids", "cpu"), tmp_path))
    monkeypatch.setattr(Path, "mkdir", like_the_kernel)

    group = groups.add(64, LIMITS)

    [directory] = group.directories
    assert {name: (directory / name).read_text() for name in files} == files
    assert group.entries == (directory / "cgroup.procs",)


def test_a_group_tells_whether_the_kernel_killed_for_memory(tmp_path: Path) -> None:
    (tmp_path / "memory.events").write_text("low 0\noom 1\noom_kill 0\n")
    group = ControlGroup(2, (tmp_path,), tmp_path)
    assert not group.ran_out_of_memory()

    (tmp_path / "memory.events").write_text("low 0\noom 1\noom_kill 2\n")
    assert group.ran_out_of_memory()
    assert not ControlGroup(2, (tmp_path,), None).ran_out_of_memory()
    assert not ControlGroup(1, (tmp_path,), tmp_path).ran_out_of_memory()  # Its file is not there.


def test_the_groups_of_servers_that_are_gone_are_removed(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    names = (f"budflow-sandbox-{ended.pid}-1", f"budflow-sandbox-{os.getpid()}-1", "somebody-elses")
    for name in names:
        (tmp_path / name).mkdir()

    ControlGroups(1, {"memory": tmp_path, "pids": tmp_path}).sweep()

    assert {path.name for path in tmp_path.iterdir()} == set(names[1:])


async def test_what_is_left_in_a_group_is_killed_with_it() -> None:
    groups = find_control_groups()
    if groups is None:
        pytest.skip("This user may make no control groups.")
    group = groups.add(64, LIMITS)
    process = await asyncio.create_subprocess_exec("/bin/sleep", "600")
    try:
        for entry in group.entries:
            entry.write_text(str(process.pid))

        await until(group.remove)

        assert await process.wait() == -9
        assert not any(directory.exists() for directory in group.directories)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
