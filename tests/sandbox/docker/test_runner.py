"""The runner against a real engine: how workers start, end, and are noticed."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from budflow.model.sandbox import SandboxUnavailable
from budflow.sandbox.docker.engine import Engine, Events
from budflow.sandbox.docker.hardening import OWNER_LABEL
from budflow.sandbox.docker.images import Images
from budflow.sandbox.docker.runner import DockerRunner
from budflow.sandbox.runners import SOCKETS_DIRECTORY, End, WorkerKind
from tests.docker_engine import DockerServer
from tests.ray_session import processes_naming
from tests.sandbox.docker.confined import CODE_VARIABLE, OWNER
from tests.until import until

pytestmark = [pytest.mark.docker, pytest.mark.xdist_group("docker")]

FOREVER = "import time; time.sleep(1000)"
DEADLINE_SECONDS = 20


def ignore(_line: str) -> None:
    pass


def code(text: str) -> dict[str, str]:
    return {CODE_VARIABLE: text}


async def end_of(worker: object) -> End:
    async with asyncio.timeout(DEADLINE_SECONDS):
        return await worker.wait()  # type: ignore[attr-defined, no-any-return]  # a StartedWorker


async def test_a_worker_that_ends_by_itself_is_noticed_with_its_status(
    runner: DockerRunner, stand_in: str, sockets: Path
) -> None:
    worker = await runner.start(WorkerKind(stand_in, 64), sockets, code("import os; os._exit(7)"))

    assert await end_of(worker) == End("exited", 7)
    assert await end_of(worker) == End("exited", 7), "It may be asked again."
    await worker.kill()


async def test_a_worker_that_is_killed_is_gone_and_so_is_its_container(
    runner: DockerRunner, engine: Engine, stand_in: str, sockets: Path
) -> None:
    ignores_signals = "import signal; signal.signal(15, signal.SIG_IGN); " + FOREVER
    worker = await runner.start(WorkerKind(stand_in, 64), sockets, code(ignores_signals))

    await worker.kill()
    await worker.kill()

    assert (await end_of(worker)).reason == "killed"
    assert engine.state(worker.id) is None


async def test_all_processes_of_a_worker_that_is_killed_are_gone(
    runner: DockerRunner, stand_in: str, sockets: Path
) -> None:
    marker = "budflow-tests-child"
    children = f"""
import os, time
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        os.execv("/usr/local/bin/python3", ["python", "-c", "import time; time.sleep(1000)", "{marker}"])
time.sleep(1000)
"""
    worker = await runner.start(WorkerKind(stand_in, 64), sockets, code(children))
    await until(lambda: len(processes_naming(marker)) == 3)

    await worker.kill()

    await until(lambda: processes_naming(marker) == [])


async def test_a_worker_that_takes_too_much_memory_is_told_apart(
    runner: DockerRunner, stand_in: str, sockets: Path
) -> None:
    worker = await runner.start(WorkerKind(stand_in, 64), sockets, code("x = bytearray(200 << 20)"))

    assert await end_of(worker) == End("out_of_memory", 137)
    await worker.kill()


async def test_a_container_that_something_else_killed_is_noticed(
    runner: DockerRunner, engine: Engine, stand_in: str, sockets: Path
) -> None:
    worker = await runner.start(WorkerKind(stand_in, 64), sockets, code(FOREVER))

    engine.remove(worker.id)

    assert (await end_of(worker)).reason == "exited"
    await worker.kill()


class Interrupted(Engine):
    """Its first streams of events end before there was any."""

    asked = 0
    breaks = 1

    def events(self, label: str, value: str) -> Events:
        events = super().events(label, value)
        self.asked += 1
        if self.asked <= self.breaks:
            events.close()
        return events


@pytest.mark.parametrize(
    ("look_seconds", "breaks"), [(1_000.0, 1), (0.05, 1_000_000)], ids=["followed again", "looked after"]
)
async def test_an_end_is_noticed_even_when_the_events_break_off(
    docker_server: DockerServer,
    stand_in: str,
    sockets: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    look_seconds: float,
    breaks: int,
) -> None:
    monkeypatch.setattr("budflow.sandbox.docker.runner.LOOK_SECONDS", look_seconds)
    monkeypatch.setattr("budflow.sandbox.docker.watch.RECONNECT_SECONDS", 0.01)
    engine = Interrupted(docker_server.url)
    engine.breaks = breaks
    runner = await DockerRunner.open(engine, OWNER, Images(engine, tmp_path, None))
    await until(lambda: engine.asked > 1)

    worker = await runner.start(WorkerKind(stand_in, 64), sockets, code("import os; os._exit(3)"))

    assert await end_of(worker) == End("exited", 3)
    await runner.close()


async def test_several_workers_are_told_apart(runner: DockerRunner, stand_in: str, sockets: Path) -> None:
    kind = WorkerKind(stand_in, 64)
    first, second, third = await asyncio.gather(
        runner.start(kind, sockets, code("import os; os._exit(1)")),
        runner.start(kind, sockets, code("import os; os._exit(2)")),
        runner.start(kind, sockets, code(FOREVER)),
    )

    assert [(await end_of(first)).status, (await end_of(second)).status] == [1, 2]
    assert not third.ended.done()
    await asyncio.gather(*(worker.kill() for worker in (first, second, third)))


async def test_the_worker_finds_its_sockets_and_cannot_write_there(
    runner: DockerRunner, stand_in: str, sockets: Path
) -> None:
    text = f"""
import socket
try:
    open("{SOCKETS_DIRECTORY}/mine", "w")
except OSError as error:
    refused = str(error.errno)
with socket.socket(socket.AF_UNIX) as s:
    s.connect("{SOCKETS_DIRECTORY}/broker.sock")
    s.sendall(refused.encode())
"""
    told: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        told.set_result(await reader.read())
        writer.close()

    server = await asyncio.start_unix_server(serve, sockets / "broker.sock")
    (sockets / "broker.sock").chmod(0o666)
    worker = await runner.start(WorkerKind(stand_in, 64), sockets, code(text))
    async with asyncio.timeout(DEADLINE_SECONDS):
        assert await told == b"30", "EROFS: the file system is read-only."
    await worker.kill()
    server.close()


async def test_what_an_earlier_daemon_left_is_removed_and_another_ones_is_not(
    docker_server: DockerServer, engine: Engine, stand_in: str, sockets: Path, tmp_path: Path
) -> None:
    async def open_runner(owner: str) -> DockerRunner:
        return await DockerRunner.open(Engine(docker_server.url), owner, Images(engine, tmp_path, None))

    lost, other = await open_runner("lost"), await open_runner("other")
    left = await lost.start(WorkerKind(stand_in, 64), sockets, code(FOREVER))
    kept = await other.start(WorkerKind(stand_in, 64), sockets, code(FOREVER))

    again = await open_runner("lost")

    assert engine.state(left.id) is None
    assert engine.state(kept.id) is not None
    for runner in (again, other, lost):
        await runner.close()
    assert engine.containers_labelled(OWNER_LABEL, "other") == []


async def test_a_start_that_is_given_up_leaves_no_container(
    runner: DockerRunner, engine: Engine, stand_in: str, sockets: Path
) -> None:
    for turns in (1, 2, 3):
        starting = asyncio.create_task(runner.start(WorkerKind(stand_in, 64), sockets, code(FOREVER)))
        for _ in range(turns):
            await asyncio.sleep(0)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting

    assert engine.containers_labelled(OWNER_LABEL, OWNER) == []


async def test_an_image_that_is_not_there_is_an_error_with_a_reason(runner: DockerRunner, sockets: Path) -> None:
    with pytest.raises(SandboxUnavailable, match="No such image"):
        await runner.start(WorkerKind("sha256:" + "0" * 64, 64), sockets, {})


async def test_the_base_image_is_found_again(runner: DockerRunner, base_image: str) -> None:
    told: list[str] = []

    assert await runner.prepare((), told.append) == base_image
    assert told == []


async def test_the_status_tells_engine_runtime_and_images(runner: DockerRunner, base_image: str) -> None:
    await runner.prepare((), ignore)

    described = await runner.describe()

    assert described["runtime"] == "runc"
    assert described["base_image"] == base_image
    assert described["engine"]


async def test_a_runtime_that_docker_does_not_have_is_refused_at_once(
    docker_server: DockerServer, engine: Engine, tmp_path: Path
) -> None:
    own = Engine(docker_server.url)
    with pytest.raises(SandboxUnavailable) as refused:
        await DockerRunner.open(own, OWNER, Images(engine, tmp_path, None), runtime="nothing-like-it")

    assert "runc" in refused.value.hint
    own.close()


def test_an_engine_that_does_not_answer_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(SandboxUnavailable, match="Docker does not answer"):
        Engine(f"unix://{tmp_path}/docker.sock")


def test_a_stopped_engine_ends_with_all_its_processes() -> None:
    """The tests' own engine leaves nothing behind."""
    server = DockerServer.start()
    pids: Sequence[int] = [int((server.directory / "pid").read_text())]
    server.stop()

    assert not server.directory.exists()
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


class Reluctant(Engine):
    """It does not remove the first container that it is asked to."""

    refused = False

    def remove(self, container_id: str) -> None:
        if not self.refused:
            self.refused = True
            raise SandboxUnavailable("Docker did not remove a container")
        super().remove(container_id)


async def test_a_container_that_could_not_be_removed_is_not_forgotten(
    docker_server: DockerServer, stand_in: str, sockets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("budflow.sandbox.docker.runner.LOOK_SECONDS", 0.05)
    engine = Reluctant(docker_server.url)
    runner = await DockerRunner.open(engine, OWNER, Images(engine, tmp_path, None))
    worker = await runner.start(WorkerKind(stand_in, 64), sockets, code(FOREVER))

    with pytest.raises(SandboxUnavailable):
        await worker.kill()

    await until(lambda: engine.state(worker.id) is None)
    await runner.close()
