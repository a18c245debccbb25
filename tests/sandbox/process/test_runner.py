"""The process runner, with real namespaces: how workers start and end, and what is left of them."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from budflow.model.sandbox import RequirementsFailed, SandboxUnavailable
from budflow.sandbox.process.control_groups import find_control_groups
from budflow.sandbox.process.runner import FIRST_USER, USERS, ProcessRunner
from budflow.sandbox.process.started import StartedProcess
from budflow.sandbox.process.view import PYTHON
from budflow.sandbox.runners import End, Limits, WorkerKind
from tests.bubblewrap import needs_bubblewrap
from tests.security.canaries import left_of, until_nothing_is_left_of
from tests.security.target import attacked
from tests.until import until

KIND = WorkerKind("", memory_mb=64)


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    needs_bubblewrap()
    yield
    until_nothing_is_left_of(os.getpid())


@pytest.fixture
async def runner() -> AsyncIterator[ProcessRunner]:
    one = ProcessRunner(Limits(tmp_bytes=1 << 20, shm_bytes=1 << 20, processes=8))
    yield one
    await one.close()


async def started(runner: ProcessRunner, sockets: Path, code: str) -> StartedProcess:
    return await runner.start_program(KIND, sockets, {}, (PYTHON, "-I", "-c", code))


async def test_a_worker_that_ends_by_itself_tells_its_status(runner: ProcessRunner, tmp_path: Path) -> None:
    worker = await started(runner, tmp_path, "import sys; print('no', file=sys.stderr); sys.exit(7)")

    assert await worker.wait() == End("exited", 7)
    assert await worker.wait() == End("exited", 7)
    assert worker.last_words == "no"


async def test_a_worker_that_is_killed_ends_with_all_its_processes(runner: ProcessRunner, tmp_path: Path) -> None:
    code = "import os, time\nfor _ in range(3): os.fork()\nos.setsid() if os.getpid() > 1 else None\ntime.sleep(600)"
    worker = await started(runner, tmp_path, code)

    await worker.kill()
    await worker.kill()

    assert (await worker.wait()).reason == "killed"
    assert (await runner.describe())["workers"] == 0


async def test_a_worker_that_uses_too_much_memory_is_told_apart(runner: ProcessRunner, tmp_path: Path) -> None:
    if find_control_groups() is None:
        pytest.skip("Without control groups the process sees that it gets no more, and nobody is killed.")
    worker = await started(runner, tmp_path, "kept = bytearray(300_000_000)")

    assert (await worker.wait()).reason == "out_of_memory"


async def test_without_control_groups_each_process_is_limited(tmp_path: Path) -> None:
    runner = ProcessRunner(Limits(processes=8), find_groups=lambda: None)
    worker = await runner.start(KIND, tmp_path, {})

    end = await worker.wait()  # There is no broker; but first it took on its limits, or would say why not.

    assert end.reason == "exited"
    assert "there is no broker" in worker.last_words
    told = (await runner.describe())["limits"]
    assert told == {"memory": "each process by itself", "processes": "the user's in its namespace", "cpu": "none"}


async def test_workers_are_users_that_no_other_worker_is(runner: ProcessRunner, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("Only root can be somebody else.")
    for _ in range(3):
        await started(runner, tmp_path, "import time; time.sleep(600)")

    found = [Path(name) for name in left_of(os.getpid()) if name.startswith("/proc/")]

    users = {path.stat().st_uid for path in found} - {0}  # Around them are processes of root's.
    assert len(users) == 3
    assert all(FIRST_USER <= user < FIRST_USER + USERS for user in users)


async def test_code_runs_without_control_groups_too(tmp_path: Path) -> None:
    async with attacked(ProcessRunner(find_groups=lambda: None), warm=0) as target:
        assert (await target.run("return {'a': 1}")).items == [{"a": 1}]
        limits = await target.run(
            "import resource as r; return {n: r.getrlimit(r.RLIMIT_NOFILE)[0] for n in ('files',)}"
        )
        assert limits.value == {"files": Limits().open_files}
        assert (await target.run("kept = [bytearray(10**8) for _ in range(100)]")).code == "code.out_of_memory"
        bomb = await target.run("import os\nwhile True: os.fork()", seconds=2)
        assert bomb.code in {"code.too_many_processes", "code.timed_out"}
        assert (await target.run("return {'a': 1}")).items == [{"a": 1}]


async def test_a_machine_on_which_it_works_has_no_trouble(runner: ProcessRunner) -> None:
    assert await runner.trouble() is None


async def test_what_is_missing_is_named(runner: ProcessRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    told = await runner.trouble()

    assert told is not None
    assert "bubblewrap" in told
    with pytest.raises(SandboxUnavailable, match="bubblewrap"):
        await runner.start(KIND, tmp_path, {})
    assert (await runner.describe())["bubblewrap"] is None


async def test_a_bubblewrap_that_cannot_is_quoted(
    runner: ProcessRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "bwrap").write_text("#!/bin/sh\necho 'No permissions to create new namespace' >&2\nexit 1\n")
    (tmp_path / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    assert await runner.trouble() == "bubblewrap made no sandbox here: No permissions to create new namespace"


async def test_packages_and_networks_need_docker(runner: ProcessRunner, tmp_path: Path) -> None:
    assert await runner.prepare((), print) == ""
    with pytest.raises(RequirementsFailed) as packages:
        await runner.prepare(("requests",), print)
    with pytest.raises(SandboxUnavailable) as network:
        await runner.start(WorkerKind("", egress=True), tmp_path, {})
    assert "Docker" in packages.value.hint
    assert "Docker" in network.value.hint


async def test_a_closed_runner_ends_its_workers_and_starts_none(runner: ProcessRunner, tmp_path: Path) -> None:
    worker = await started(runner, tmp_path, "import time; time.sleep(600)")

    await runner.close()

    assert (await worker.wait()).reason == "killed"
    with pytest.raises(SandboxUnavailable):
        await runner.start(KIND, tmp_path, {})


async def test_a_start_that_is_cancelled_leaves_nothing(runner: ProcessRunner, tmp_path: Path) -> None:
    for rounds in (0, 1, 3, 10, 30, 100):
        start = asyncio.ensure_future(started(runner, tmp_path, "import time; time.sleep(600)"))
        for _ in range(rounds):
            await asyncio.sleep(0)
        start.cancel()
        with suppress(asyncio.CancelledError):
            await (await start).kill()  # It was too late.

    assert (await runner.describe())["workers"] == 0
    await until(lambda: not left_of(os.getpid()))


async def test_it_says_what_it_is(runner: ProcessRunner) -> None:
    told = await runner.describe()

    assert (runner.isolation, told["isolation"], told["label"]) == ("process", "process", "reduced isolation")
    assert told["bubblewrap"][0].isdigit()


async def test_workers_end_with_the_server_however_it_ends(tmp_path: Path) -> None:
    code = """
import asyncio, sys
from contextlib import suppress
from glob import glob
from pathlib import Path
from budflow.sandbox.process.runner import ProcessRunner
from budflow.sandbox.process.view import PYTHON
from budflow.sandbox.runners import WorkerKind

def runs(line):
    for command in glob("/proc/[0-9]*/cmdline"):
        with suppress(OSError):
            if Path(command).read_bytes().startswith(line):
                return True
    return False

async def main():
    program = (PYTHON, "-I", "-c", f"import time; time.sleep(600) # {sys.argv[1]}")
    await ProcessRunner().start_program(WorkerKind("", 64), Path(sys.argv[1]), {}, program)
    line = "\\0".join(program).encode()
    # The kernel ends it with the server from here on. A worker ends by itself, too, since it finds no broker.
    while not runs(line):
        await asyncio.sleep(0.01)
    print("started", flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code, str(tmp_path)), stdout=asyncio.subprocess.PIPE
    )
    assert server.stdout is not None
    assert await server.stdout.readline() == b"started\n"
    before = left_of(server.pid)
    server.kill()
    await server.wait()

    groups = find_control_groups()
    if groups is not None:
        assert any(name.startswith("/proc/") for name in before)
        await until(lambda: not any(name.startswith("/proc/") for name in left_of(server.pid)))

        def swept() -> bool:
            groups.sweep()  # As the next server does; the kernel lets go of a group a moment after its last process.
            return not left_of(server.pid)

        await until(swept)
