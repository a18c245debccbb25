"""The worker as PID 1 of a sandbox that is its own: here of namespaces, with file systems of their own to empty."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import websockets

import budflow
from tests.sandbox.worker.broker import Broker, started

#: From a copy in the one directory of the machine's that stays visible: this repository may lie below `/tmp`.
PROGRAM = (
    "import sys; sys.path.insert(0, '/mnt/site'); from budflow.sandbox.worker.__main__ import main; sys.exit(main())"
)
PYTHON = (str(Path(sys.executable).resolve()), "-I", "-c")
#: As under gVisor, whose kernel leaves orphans to PID 1.
WITHOUT_ADOPTION = PROGRAM.replace(
    "sys.exit",
    "from budflow.sandbox.worker import __main__ as program, nursery; "
    "program.adopt_orphans = nursery.adopt_orphans = lambda: False; sys.exit",
)
#: Ends at the first mount that fails: what the worker empties must never be the machine's.
MOUNT = """
set -e
mount --make-rprivate /
mount --bind "$0" /mnt
for directory in /tmp /dev/shm /dev/mqueue; do
    if [ -d "$directory" ]; then mount -t tmpfs none "$directory"; fi
done
mount -t proc none /proc
exec env BUDFLOW_SOCKETS=/mnt BUDFLOW_ALONE=1 "$@"
"""
#: Code that would harm the machine, were it not in a sandbox, looks first.
INSIDE = "assert b'budflow.sandbox.worker' in open('/proc/1/cmdline', 'rb').read()\nimport os\n"


def copy_worker(site: Path) -> None:
    """All that a worker needs beside Python."""
    package, copy = Path(budflow.__file__).parent, site / "budflow"
    shutil.copytree(package / "sandbox" / "worker", copy / "sandbox" / "worker")
    for part in ("__init__.py", "sandbox/__init__.py"):
        shutil.copy(package / part, copy / part)
    shutil.copytree(Path(websockets.__file__).parent, site / "websockets")


@pytest.fixture
def alone(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Broker]:
    copy_worker(tmp_path / "site")
    as_root = () if os.getuid() == 0 else ("--user", "--map-root-user")
    unshare = ("unshare", *as_root, "--mount", "--pid", "--ipc", "--fork", "--kill-child")
    worker = (*PYTHON, getattr(request, "param", PROGRAM))
    with started(tmp_path, command=(*unshare, "sh", "-c", MOUNT, str(tmp_path), *worker)) as broker:
        yield broker


def test_what_a_task_leaves_is_gone_before_the_next(alone: Broker) -> None:
    code = """
import ctypes, os
for directory in ("/tmp", "/dev/shm"):
    os.makedirs(f"{directory}/deep/er", exist_ok=True)
    open(f"{directory}/deep/file", "w").write("x")
ctypes.CDLL(None).shmget(1234, 4096, 0o1666)
ctypes.CDLL(None).semget(1234, 1, 0o1666)
"""
    look = """
import os
kinds = ("shm", "sem", "msg")
counts = [len(open(f"/proc/sysvipc/{kind}").readlines()) - 1 for kind in kinds]
return {"files": os.listdir("/tmp") + os.listdir("/dev/shm"), "ipc": counts}
"""
    assert alone.run(code + look).items == [{"files": ["deep", "deep"], "ipc": [1, 1, 0]}]
    assert alone.run(look).items == [{"files": [], "ipc": [0, 0, 0]}]


@pytest.mark.parametrize("alone", [PROGRAM, WITHOUT_ADOPTION], ids=["adopting", "not adopting"], indirect=True)
def test_all_other_processes_end_at_once(alone: Broker) -> None:
    code = (
        "import os\nfor _ in range(5): os.fork()\nos.setsid() if os.getpgrp() != os.getpid() else 0\nwhile True: pass"
    )
    look = "import os\nreturn {'processes': sorted(int(pid) for pid in os.listdir('/proc') if pid.isdigit())}"

    assert alone.run(code, timeout_seconds=0.3).code == "code.timed_out"
    [item] = alone.run(look).items
    assert len(item["processes"]) == 3
    assert item["processes"][0] == 1


@pytest.mark.parametrize("number", [2, 9, 15, 19])
def test_code_cannot_end_the_worker_by_a_signal(alone: Broker, number: int) -> None:
    assert alone.run(f"{INSIDE}os.kill(1, {number})\nreturn {{'alive': True}}").items == [{"alive": True}]
    assert alone.works()


def test_code_that_kills_all_it_can_ends_the_worker_and_is_told_why(alone: Broker) -> None:
    outcome = alone.run(f"{INSIDE}os.kill(-1, 9)\nwhile True: pass")

    assert outcome.message == "The code killed or stopped the sandbox's own processes"
    assert alone.receive().type == "draining"
    assert alone.process.wait(timeout=5) == 1
