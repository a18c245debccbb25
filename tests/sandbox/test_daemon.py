"""sandboxd: alone in its directory, tidy after a crash, and in no hurry to stop."""

import asyncio
import grp
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import orjson
import pytest

from budflow.model.sandbox import SandboxBusy, SandboxUnavailable
from budflow.sandbox.client import SandboxClient
from budflow.sandbox.daemon_settings import DaemonSettings
from budflow.sandbox.keeper import ExistingSandboxd
from budflow.sandbox.places import WORKERS_LINK, WORKERS_PREFIX, SandboxdMisplaced, SandboxdRunning
from tests.certificate import self_signed
from tests.sandbox.conftest import OpenSandboxd
from tests.sandbox.fake_workers import FakeRunner, FakeWorker
from tests.sandbox.tasks import task, values
from tests.until import until


async def test_a_second_one_in_the_same_directory_is_refused(open_sandboxd: OpenSandboxd) -> None:
    first, second = FakeRunner(), FakeRunner()
    await open_sandboxd(first)

    with pytest.raises(SandboxdRunning):
        await open_sandboxd(second)


async def test_a_directory_whose_path_is_too_long_is_refused(tmp_path: Path, open_sandboxd: OpenSandboxd) -> None:
    with pytest.raises(SandboxdMisplaced, match="longer"):
        await open_sandboxd(FakeRunner(), directory=tmp_path / ("x" * 100))


async def test_the_members_of_a_group_may_ask_where_it_is_meant_to(open_sandboxd: OpenSandboxd) -> None:
    sandboxd = await open_sandboxd(FakeRunner(), group=grp.getgrgid(os.getgid()).gr_name)

    modes = {path.name: path.stat().st_mode & 0o777 for path in (sandboxd.directory, *sandboxd.directory.iterdir())}
    assert (modes["sandbox"], modes["sandboxd.sock"], modes["sandbox.key"]) == (0o710, 0o660, 0o640)


async def test_a_group_that_is_not_there_is_named(open_sandboxd: OpenSandboxd) -> None:
    with pytest.raises(SandboxdMisplaced, match="no-such-group"):
        await open_sandboxd(FakeRunner(), group="no-such-group")


async def test_a_status_is_given_though_the_runner_has_none(open_sandboxd: OpenSandboxd) -> None:
    class Mute(FakeRunner):
        async def describe(self) -> Mapping[str, object]:
            raise SandboxUnavailable("The engine is on holiday.")

    sandboxd = await open_sandboxd(Mute())

    assert (await sandboxd.client.describe())["runner"] == {"error": "The engine is on holiday."}


async def test_what_a_crash_left_is_removed_at_the_next_start(tmp_path: Path, open_sandboxd: OpenSandboxd) -> None:
    left = tmp_path / f"{WORKERS_PREFIX}abc"
    (left / "worker").mkdir(parents=True)
    (tmp_path / "sandbox").mkdir(mode=0o700)
    (tmp_path / "sandbox" / WORKERS_LINK).symlink_to(left)
    (tmp_path / "sandbox" / "sandboxd.sock").touch()

    sandboxd = await open_sandboxd(FakeRunner())

    assert not left.exists()
    assert await values(sandboxd.client.of("p1"), task("x")) == [{"n": 1}]


async def test_nothing_else_is_removed_whatever_the_link_says(tmp_path: Path, open_sandboxd: OpenSandboxd) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (tmp_path / "sandbox").mkdir(mode=0o700)
    (tmp_path / "sandbox" / WORKERS_LINK).symlink_to(precious)

    await open_sandboxd(FakeRunner())

    assert precious.exists()


async def test_every_user_may_pass_through_to_a_workers_socket_and_nobody_may_look_around(
    open_sandboxd: OpenSandboxd,
) -> None:
    runner = FakeRunner()
    sandboxd = await open_sandboxd(runner)
    await values(sandboxd.client.of("p1"), task("x"))

    directory = runner.started[0].socket.parent
    assert directory.stat().st_mode & 0o777 == 0o755
    assert directory.parent.stat().st_mode & 0o777 == 0o711
    assert len(str(runner.started[0].socket)) <= 107


async def test_while_it_drains_what_runs_may_end_and_nothing_new_begins(open_sandboxd: OpenSandboxd) -> None:
    go = asyncio.Event()

    async def slow(worker: FakeWorker) -> None:
        await worker.hello()
        await worker.take()
        await go.wait()
        await worker.give({"n": 1})
        await worker.receive()

    sandboxd = await open_sandboxd(FakeRunner([slow]), drain_seconds=20)
    running = asyncio.create_task(values(sandboxd.client.of("p1"), task("x")))
    pool = sandboxd.daemon.broker.pool
    await until(lambda: any(worker["state"] == "busy" for worker in pool.describe()["workers"]))

    draining = asyncio.create_task(sandboxd.daemon.drain())
    await asyncio.sleep(0)
    with pytest.raises(SandboxBusy, match="stopped"):
        await values(sandboxd.client.of("p1"), task("x"))
    assert not draining.done()
    go.set()

    assert await running == [{"n": 1}]
    await asyncio.wait_for(draining, 5)


async def test_a_fault_of_the_runner_answers_the_task(open_sandboxd: OpenSandboxd) -> None:
    class Broken(FakeRunner):
        async def start(self, *_: object) -> None:  # type: ignore[override] # it never gives a worker
            raise ZeroDivisionError("a fault")

    sandboxd = await open_sandboxd(Broken())

    with pytest.raises(SandboxUnavailable, match="a fault"):
        await values(sandboxd.client.of("p1"), task("x"))


async def test_a_fault_in_preparing_answers_the_task(open_sandboxd: OpenSandboxd) -> None:
    class Broken(FakeRunner):
        async def prepare(self, *_: object) -> str:
            raise ZeroDivisionError("a fault")

    sandboxd = await open_sandboxd(Broken())

    with pytest.raises(SandboxUnavailable, match="ZeroDivisionError"):
        await values(sandboxd.client.of("p1"), task("x"))


@pytest.mark.process
async def test_as_a_process_it_stops_when_it_is_told_to(tmp_path: Path) -> None:
    certificate, key = self_signed("localhost")
    (tmp_path / "cert.pem").write_bytes(certificate)
    (tmp_path / "key.pem").write_bytes(key)
    settings = DaemonSettings(
        directory=tmp_path / "sandbox",
        sandbox="off",
        workers_max=0,
        listen="127.0.0.1:0",
        listen_certificate=tmp_path / "cert.pem",
        listen_key=tmp_path / "key.pem",
    )
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "budflow.sandboxd", stdin=pipe, stdout=pipe)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(settings.model_dump_json().encode() + b"\n")
    assert orjson.loads(await process.stdout.readline())["serving"] is True
    client = SandboxClient(ExistingSandboxd(f"unix:{settings.directory}/sandboxd.sock"))
    assert (await client.describe())["isolation"] == "external"
    await client.close()

    process.terminate()

    assert await asyncio.wait_for(process.wait(), 20) == 0
    process.stdin.close()
    assert not (settings.directory / "sandboxd.sock").exists()
    assert not (settings.directory / WORKERS_LINK).is_symlink()
