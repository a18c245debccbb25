"""The server's own sandboxd: started when it is needed, again when it died, and never left behind."""

import asyncio
import os
import shutil
import signal
import ssl
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from budflow.model.sandbox import SandboxUnavailable, SandboxWorkerLost
from budflow.sandbox.access import Tickets, read_key
from budflow.sandbox.client import SandboxClient
from budflow.sandbox.daemon_settings import DaemonSettings
from budflow.sandbox.keeper import SandboxKeeper
from budflow.sandbox.places import WORKERS_LINK
from budflow.sandbox.runners import WorkerKind
from tests.certificate import self_signed
from tests.sandbox.fake_workers import FakeWorker
from tests.sandbox.tasks import task, values
from tests.until import until

pytestmark = pytest.mark.process


def _settings(directory: Path) -> DaemonSettings:
    """Of one that listens for external workers on some port, so that it needs neither Docker nor bubblewrap."""
    files = {"listen_certificate": directory / "cert.pem", "listen_key": directory / "key.pem"}
    certificate, key = self_signed("localhost")
    files["listen_certificate"].write_bytes(certificate)
    files["listen_key"].write_bytes(key)
    return DaemonSettings(
        directory=directory / "sandbox", sandbox="off", workers_max=0, listen="127.0.0.1:0", drain_seconds=0, **files
    )


@pytest.fixture
async def keeper(tmp_path: Path) -> AsyncIterator[SandboxKeeper]:
    async with SandboxKeeper(_settings(tmp_path)) as keeper:
        yield keeper
    link = tmp_path / "sandbox" / WORKERS_LINK
    if link.is_symlink():  # One that was killed leaves it to the next.
        shutil.rmtree(link.resolve(), ignore_errors=True)


async def test_sandboxd_is_started_when_it_is_needed(keeper: SandboxKeeper) -> None:
    assert keeper.pid is None
    client = SandboxClient(keeper)

    status = await client.describe()

    assert status["isolation"] == "external"
    assert keeper.pid is not None
    await client.close()


async def test_one_that_died_is_started_again(keeper: SandboxKeeper) -> None:
    client = SandboxClient(keeper)
    await client.describe()
    first = keeper.pid
    assert first is not None

    os.kill(first, signal.SIGKILL)
    await until(lambda: keeper.pid is None)
    await client.describe()

    assert keeper.pid not in (None, first)
    await client.close()


async def test_it_ends_with_its_keeper(keeper: SandboxKeeper) -> None:
    await keeper.socket()
    pid = keeper.pid
    assert pid is not None

    await keeper.close()

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_why_there_is_no_sandbox_is_told(tmp_path: Path) -> None:
    async with SandboxKeeper(DaemonSettings(directory=tmp_path, sandbox="off")) as keeper:
        with pytest.raises(SandboxUnavailable, match="off"):
            await keeper.socket()


async def test_docker_that_does_not_answer_is_named(tmp_path: Path) -> None:
    url = f"unix://{tmp_path}/no.sock"
    async with SandboxKeeper(DaemonSettings(directory=tmp_path, sandbox="docker", docker_url=url)) as keeper:
        with pytest.raises(SandboxUnavailable, match="Docker"):
            await keeper.socket()


async def test_a_task_under_way_when_it_dies_may_be_tried_again(keeper: SandboxKeeper, tmp_path: Path) -> None:
    client = SandboxClient(keeper)
    port = (await client.describe())["external_port"]
    ticket = Tickets(read_key(tmp_path / "sandbox")).issue("external", "p1", 60)
    context = ssl.create_default_context(cafile=tmp_path / "cert.pem")
    async with connect(f"wss://localhost:{port}", ssl=context, compression=None, close_timeout=0.1) as connection:
        worker = FakeWorker(connection, ticket, WorkerKind(""))
        await worker.hello()
        running = asyncio.create_task(values(client.of("p1"), task("x")))
        await worker.take()

        assert keeper.pid is not None
        os.kill(keeper.pid, signal.SIGKILL)

        with pytest.raises(SandboxWorkerLost) as lost:
            await running
        assert lost.value.retriable
        with pytest.raises(ConnectionClosed):
            await worker.receive()
    await client.close()


async def test_code_of_one_that_is_stuck_is_not_waited_for_forever(
    keeper: SandboxKeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("budflow.sandbox.connection.PING_SECONDS", 0.1)
    monkeypatch.setattr("budflow.sandbox.connection.PONG_SECONDS", 0.3)
    client = SandboxClient(keeper)
    await client.link("p1")
    assert keeper.pid is not None

    os.kill(keeper.pid, signal.SIGSTOP)
    try:
        with pytest.raises(SandboxWorkerLost):
            await asyncio.wait_for(values(client.of("p1"), task("x")), 10)
    finally:
        os.kill(keeper.pid, signal.SIGCONT)
        await client.close()


async def test_one_that_is_stuck_is_ended_and_another_one_started(
    keeper: SandboxKeeper, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("budflow.sandbox.keeper.ANSWERED_SECONDS", 0.0)
    monkeypatch.setattr("budflow.sandbox.keeper.ANSWER_SECONDS", 0.3)
    monkeypatch.setattr("budflow.sandbox.keeper.HURRY_SECONDS", 0.1)
    await keeper.socket()
    stuck = keeper.pid
    assert stuck is not None
    os.kill(stuck, signal.SIGSTOP)  # It does not hear SIGTERM either.
    client = SandboxClient(keeper)

    status = await asyncio.wait_for(client.describe(), 30)

    assert status["isolation"] == "external"
    assert keeper.pid not in (None, stuck)
    assert not _runs(stuck)
    assert "sandbox.daemon_stuck" in caplog.messages
    await client.close()


async def test_one_whose_socket_is_gone_is_replaced(keeper: SandboxKeeper, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("budflow.sandbox.keeper.ANSWERED_SECONDS", 0.0)
    socket = await keeper.socket()
    first = keeper.pid
    socket.unlink()

    await keeper.socket()

    assert keeper.pid not in (None, first)
    assert first is not None
    assert not _runs(first)
    assert socket.exists()


async def test_one_that_answers_stays(
    keeper: SandboxKeeper, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("budflow.sandbox.keeper.ANSWERED_SECONDS", 0.0)
    await keeper.socket()
    first = keeper.pid

    await asyncio.gather(*(keeper.socket() for _ in range(5)))

    assert keeper.pid == first
    assert "sandbox.daemon_stuck" not in caplog.messages


async def test_a_server_that_stops_does_not_wait_for_the_answer_of_one_that_is_stuck(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("budflow.sandbox.keeper.ANSWERED_SECONDS", 0.0)
    monkeypatch.setattr("budflow.sandbox.keeper.STOP_SECONDS", 0.1)
    keeper = SandboxKeeper(_settings(tmp_path))
    await keeper.socket()
    stuck = keeper.pid
    assert stuck is not None
    os.kill(stuck, signal.SIGSTOP)
    asking = asyncio.create_task(keeper.socket())
    await until(lambda: keeper._asking is not None)

    await asyncio.wait_for(keeper.close(), 5)

    with pytest.raises(SandboxUnavailable, match="stopped"):
        await asking
    assert not _runs(stuck)


async def test_a_directory_that_it_cannot_write_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    settings = _settings(tmp_path).model_copy(update={"directory": tmp_path / "file" / "sandbox"})

    async with SandboxKeeper(settings) as keeper:
        with pytest.raises(SandboxUnavailable, match=r"cannot serve in .*Not a directory"):
            await keeper.socket()


async def test_one_that_cannot_start_is_not_tried_again_and_again(tmp_path: Path) -> None:
    async with SandboxKeeper(DaemonSettings(directory=tmp_path, sandbox="off")) as keeper:
        for _ in range(2):
            with pytest.raises(SandboxUnavailable):
                await keeper.socket()

        async with asyncio.timeout(0.1):  # Less than a process takes to start.
            with pytest.raises(SandboxUnavailable, match="off"):
                await keeper.socket()


async def test_a_server_that_stops_does_not_wait_for_one_that_starts(tmp_path: Path) -> None:
    keeper = SandboxKeeper(_settings(tmp_path))
    starting = asyncio.create_task(keeper.socket())
    await until(lambda: keeper._starting is not None)

    await keeper.close()

    with pytest.raises(SandboxUnavailable):
        await starting


async def test_it_ends_when_the_server_is_killed(tmp_path: Path) -> None:
    settings = _settings(tmp_path).model_dump_json()
    program = f"""
import asyncio
from budflow.sandbox.daemon_settings import DaemonSettings
from budflow.sandbox.keeper import SandboxKeeper

async def main():
    keeper = SandboxKeeper(DaemonSettings.model_validate_json({settings!r}))
    await keeper.socket()
    print(keeper.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""
    pipe = asyncio.subprocess.PIPE
    server = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=pipe)
    assert server.stdout is not None
    pid = int(await server.stdout.readline())

    server.kill()
    await server.wait()

    def gone() -> bool:
        return not (tmp_path / "sandbox" / "sandboxd.sock").exists() and not _runs(pid)

    await until(gone, 20)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
