"""What is put on a command line, and what bubblewrap is told where nobody else can read it."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from budflow.sandbox.process.control_groups import ControlGroup
from budflow.sandbox.process.launch import (
    Descriptors,
    Launch,
    command,
    inner_arguments,
    process_limits,
    stage_arguments,
    worker_program,
)
from budflow.sandbox.process.view import Bind, installed_python
from budflow.sandbox.runners import Limits, WorkerKind

DESCRIPTORS = Descriptors(inner=10, stage=11, filter=12, info=13, go=14)
GROUP = ControlGroup(1, (Path("/cgroup/memory/x"), Path("/cgroup/pids/x")), Path("/cgroup/memory/x"))


@pytest.fixture
def launch() -> Launch:
    environment = {"BUDFLOW_TICKET": "s3cret"}
    return Launch(
        installed_python(), Path("/var/x/sockets"), WorkerKind("", 64), Limits(), environment, None, 1_900_000_007
    )


def told(arguments: bytes) -> list[str]:
    assert arguments.endswith(b"\0")
    return [os.fsdecode(part) for part in arguments[:-1].split(b"\0")]


def test_no_command_line_has_the_ticket_or_the_sockets(launch: Launch) -> None:
    for one in (launch, replace(launch, user=None)):
        line = " ".join(command(one, DESCRIPTORS, worker_program(one)))
        assert "s3cret" not in line
        assert "/var/x" not in line
    assert "s3cret" in told(inner_arguments(launch))
    assert "s3cret" not in told(stage_arguments(launch))


def test_root_gives_up_its_rights_before_the_sandbox_is_made(launch: Launch) -> None:
    line = command(launch, DESCRIPTORS, ["program"])

    first, second = (at for at, word in enumerate(line) if word == "bwrap")
    assert first < line.index("setpriv") < second
    assert line[line.index("--reuid") + 1] == line[line.index("--regid") + 1] == "1900000007"
    assert {"--clear-groups", "--bounding-set=-all", "--inh-caps=-all"} <= set(line)
    assert line[-1] == "program"


def test_another_user_makes_the_sandbox_at_once(launch: Launch) -> None:
    line = command(replace(launch, user=None), DESCRIPTORS, ["program"])

    assert line == ["bwrap", "--args", "10", "--seccomp", "12", "--info-fd", "13", "--block-fd", "14", "--", "program"]


def test_the_control_group_is_entered_first(launch: Launch) -> None:
    line = command(replace(launch, group=GROUP), DESCRIPTORS, ["program"])

    assert line[:2] == ["/bin/sh", "-c"]
    assert line[4:6] == ["/cgroup/memory/x/cgroup.procs /cgroup/pids/x/cgroup.procs", "bwrap"]


def test_every_namespace_is_a_new_one_and_every_right_is_gone(launch: Launch) -> None:
    arguments = told(inner_arguments(launch))

    for name in ("user", "ipc", "pid", "net", "uts", "cgroup-try"):
        assert f"--unshare-{name}" in arguments
    assert arguments[arguments.index("--cap-drop") + 1] == "ALL"
    assert {"--die-with-parent", "--new-session", "--clearenv", "--as-pid-1"} <= set(arguments)
    assert arguments[arguments.index("--uid") + 1] == "65534"


def test_nothing_is_bound_so_that_it_can_be_written_to(launch: Launch) -> None:
    for one in (launch, replace(launch, user=None)):
        arguments = told(inner_arguments(one))
        assert "--bind" not in arguments
        devices = {arguments[at + 1] for at, word in enumerate(arguments) if word == "--dev-bind"}
        assert devices == {f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom")}
        writable = [at for at, word in enumerate(arguments) if word == "--tmpfs"]
        assert {arguments[at - 2] for at in writable} == {"--size"}  # None without a limit.
        assert [arguments[at + 1] for at, word in enumerate(arguments) if word == "--remount-ro"][-2:] == ["/dev", "/"]


def test_the_worker_sees_only_the_oom_count_of_its_control_group(launch: Launch) -> None:
    first, second = replace(launch, group=GROUP), replace(launch, group=replace(GROUP, version=2))

    assert first.binds[-1] == Bind(
        Path("/cgroup/memory/x/memory.oom_control"), "/sys/fs/cgroup/memory/memory.oom_control"
    )
    assert second.binds[-1] == Bind(Path("/cgroup/memory/x/memory.events"), "/sys/fs/cgroup/memory.events")
    assert launch.binds == launch.view.binds


def test_memory_is_limited_by_the_process_only_where_no_group_limits_it() -> None:
    kind, limits = WorkerKind("", 64), Limits(processes=5, open_files=6, tmp_bytes=7)

    alone, grouped = process_limits(kind, limits, None), process_limits(kind, limits, GROUP)

    assert alone["AS"] > 64 * 1024 * 1024
    assert "AS" not in grouped
    assert (grouped["NPROC"], grouped["NOFILE"], grouped["FSIZE"], grouped["CORE"]) == (8, 6, 7, 0)
