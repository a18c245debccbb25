"""External workers: over TLS, by a ticket that is good once, for one project."""

import asyncio
import os
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidMessage

from budflow.model.sandbox import SandboxUnavailable, SandboxWorkerLost
from budflow.sandbox.daemon_settings import DaemonSettings
from budflow.sandbox.external import SandboxListenRefused
from budflow.sandbox.external_only import ExternalOnly
from budflow.sandbox.relay import Relay
from budflow.sandbox.runners import BROKER_SOCKET, TICKET_VARIABLE, WorkerKind
from tests.certificate import self_signed
from tests.sandbox.conftest import OpenSandboxd, Sandboxd
from tests.sandbox.fake_workers import FakeRunner, FakeWorker, Script, honest
from tests.sandbox.tasks import task, values
from tests.until import until

Come = Callable[..., Awaitable["asyncio.Task[None]"]]


@pytest.fixture
def tls(tmp_path: Path) -> dict[str, Any]:
    """Settings that listen on some port, with a certificate for localhost."""
    certificate, key = self_signed("localhost")
    (tmp_path / "cert.pem").write_bytes(certificate)
    (tmp_path / "key.pem").write_bytes(key)
    files = {"listen_certificate": tmp_path / "cert.pem", "listen_key": tmp_path / "key.pem"}
    return {"listen": "127.0.0.1:0", "workers_max": 0, **files}


@pytest.fixture
async def sandboxd(open_sandboxd: OpenSandboxd, tls: dict[str, Any]) -> Sandboxd:
    return await open_sandboxd(ExternalOnly(), **tls)


@pytest.fixture
async def come(sandboxd: Sandboxd, tls: dict[str, Any]) -> AsyncIterator[Come]:
    """Have a worker come with a ticket, and do what its script says."""
    context = ssl.create_default_context(cafile=tls["listen_certificate"])
    async with AsyncExitStack() as stack:

        async def come_one(ticket: str, script: Script = honest) -> "asyncio.Task[None]":
            url = f"wss://localhost:{sandboxd.daemon.door.port}"
            connection = await stack.enter_async_context(connect(url, ssl=context, compression=None, close_timeout=0.1))

            async def live() -> None:
                try:
                    await script(FakeWorker(connection, ticket, WorkerKind("")))
                except ConnectionClosed:
                    return

            living = asyncio.create_task(live())
            stack.callback(living.cancel)
            return living

        yield come_one


def _ticket(sandboxd: Sandboxd, project: str = "p1", **fields: Any) -> str:
    return sandboxd.daemon.tickets.issue("external", project, 60, **fields)


def _workers(sandboxd: Sandboxd) -> int:
    return sum(worker["count"] for worker in sandboxd.daemon.broker.pool.describe()["workers"])


async def test_it_runs_the_code_of_the_project_of_its_ticket(sandboxd: Sandboxd, come: Come) -> None:
    await come(_ticket(sandboxd))
    await until(lambda: _workers(sandboxd) == 1)

    assert await values(sandboxd.client.of("p1"), task("x", [{"n": 5}])) == [{"n": 5}]


async def test_it_runs_the_code_of_no_other_project(sandboxd: Sandboxd, come: Come) -> None:
    await come(_ticket(sandboxd, "p1"))
    await until(lambda: _workers(sandboxd) == 1)

    with pytest.raises(SandboxUnavailable, match="external worker"):
        await values(sandboxd.client.of("p2"), task("x"))


async def test_it_gets_no_code_that_wants_packages_it_does_not_have(sandboxd: Sandboxd, come: Come) -> None:
    await come(_ticket(sandboxd))
    await come(_ticket(sandboxd, image="numpy"))
    await until(lambda: _workers(sandboxd) == 2)

    assert await values(sandboxd.client.of("p1"), task("x", requirements=("numpy",))) == [{"n": 1}]
    with pytest.raises(SandboxUnavailable):
        await values(sandboxd.client.of("p1"), task("x", requirements=("pandas",)))
    with pytest.raises(SandboxUnavailable):
        await values(sandboxd.client.of("p1"), task("x", network=("api.example",)))


async def test_it_gets_no_more_memory_than_its_ticket_says(sandboxd: Sandboxd, come: Come) -> None:
    await come(_ticket(sandboxd, memory_mb=256))
    await until(lambda: _workers(sandboxd) == 1)

    with pytest.raises(SandboxUnavailable):
        await values(sandboxd.client.of("p1"), task("x", memory_mb=512))


async def test_a_ticket_is_good_once(sandboxd: Sandboxd, come: Come) -> None:
    ticket = _ticket(sandboxd)
    await come(ticket)
    await until(lambda: _workers(sandboxd) == 1)

    second = await come(ticket)

    await asyncio.wait_for(second, 5)
    assert _workers(sandboxd) == 1


@pytest.mark.parametrize("kind", ["requester", "worker"])
async def test_other_tickets_are_refused(sandboxd: Sandboxd, come: Come, kind: Any) -> None:
    stranger = await come(sandboxd.daemon.tickets.issue(kind, "p1", 60))

    await asyncio.wait_for(stranger, 5)
    assert _workers(sandboxd) == 0


async def test_without_tls_nobody_is_let_in(sandboxd: Sandboxd) -> None:
    with pytest.raises((InvalidMessage, OSError)):
        await connect(f"ws://localhost:{sandboxd.daemon.door.port}", open_timeout=3)


async def test_one_that_lies_is_cut_off(sandboxd: Sandboxd, come: Come) -> None:
    async def liar(worker: FakeWorker) -> None:
        await worker.hello()
        await worker.take()
        await worker.say("open_sesame")
        await worker.receive()

    living = await come(_ticket(sandboxd), liar)
    await until(lambda: _workers(sandboxd) == 1)

    with pytest.raises(SandboxWorkerLost):
        await values(sandboxd.client.of("p1"), task("x"))
    await asyncio.wait_for(living, 5)
    await until(lambda: _workers(sandboxd) == 0)


async def test_one_that_goes_is_forgotten(sandboxd: Sandboxd, come: Come) -> None:
    async def goes(worker: FakeWorker) -> None:
        await worker.hello()
        await worker.connection.close()

    await asyncio.wait_for(await come(_ticket(sandboxd), goes), 5)

    await until(lambda: _workers(sandboxd) == 0)


async def test_a_real_worker_comes_through_a_relay(sandboxd: Sandboxd, tls: dict[str, Any], tmp_path: Path) -> None:
    items = [{"n": n, "text": "x" * 2_000} for n in range(1_000)]
    relay = Relay.to(f"localhost:{sandboxd.daemon.door.port}", tls["listen_certificate"])
    async with relay.serving(tmp_path / BROKER_SOCKET):
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-m",
            "budflow.sandbox.worker",
            env={"PATH": os.environ["PATH"], TICKET_VARIABLE: _ticket(sandboxd), "BUDFLOW_SOCKETS": str(tmp_path)},
        )
        try:
            await until(lambda: _workers(sandboxd) == 1)

            assert await values(sandboxd.client.of("p1"), task("return items", items)) == items
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def test_beside_workers_of_the_daemons_own_the_external_one_comes_first(
    open_sandboxd: OpenSandboxd, tls: dict[str, Any]
) -> None:
    runner = FakeRunner()
    sandboxd = await open_sandboxd(runner, **{**tls, "workers_max": 2})
    context = ssl.create_default_context(cafile=tls["listen_certificate"])
    url = f"wss://localhost:{sandboxd.daemon.door.port}"
    async with connect(url, ssl=context, compression=None, close_timeout=0.1) as connection:
        living = asyncio.create_task(honest(FakeWorker(connection, _ticket(sandboxd), WorkerKind(""))))
        await until(lambda: _workers(sandboxd) == 1)

        await values(sandboxd.client.of("p1"), task("x"))
        await values(sandboxd.client.of("p2"), task("x"))

        assert len(runner.started) == 1
        living.cancel()


@pytest.mark.parametrize(
    "wrong", [{"listen": "127.0.0.1"}, {"listen_key": None}, {"listen_certificate": Path("/nonexistent")}]
)
async def test_it_listens_with_tls_or_not_at_all(
    open_sandboxd: OpenSandboxd, tls: dict[str, Any], wrong: dict[str, Any]
) -> None:
    with pytest.raises(SandboxListenRefused):
        await open_sandboxd(ExternalOnly(), **{**tls, **wrong})


def test_settings_refuse_what_they_do_not_know(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="privileged"):
        DaemonSettings.model_validate({"directory": tmp_path, "privileged": True})


async def test_it_goes_after_as_many_tasks_as_others(open_sandboxd: OpenSandboxd, tls: dict[str, Any]) -> None:
    sandboxd = await open_sandboxd(ExternalOnly(), tasks_a_worker=2, **tls)
    context = ssl.create_default_context(cafile=tls["listen_certificate"])
    async with connect(f"wss://localhost:{sandboxd.daemon.door.port}", ssl=context, compression=None) as connection:
        working = asyncio.create_task(honest(FakeWorker(connection, _ticket(sandboxd), WorkerKind(""))))
        await until(lambda: _workers(sandboxd) == 1)
        for _ in range(2):
            assert await values(sandboxd.client.of("p1"), task("x")) == [{"n": 1}]

        await until(lambda: _workers(sandboxd) == 0)
        with pytest.raises((AssertionError, ConnectionClosed)):  # It is told to drain, or finds that nobody is there.
            await asyncio.wait_for(working, 5)


async def test_a_stranger_has_no_large_frames_held_for_it(sandboxd: Sandboxd, come: Come) -> None:
    ended = asyncio.Event()

    async def large(worker: FakeWorker) -> None:
        try:
            await worker.connection.send("x" * 8_192)
            await worker.connection.recv()
        except ConnectionClosed as error:
            assert error.rcvd is not None
            assert error.rcvd.code == 1009
            ended.set()

    await come(_ticket(sandboxd), large)
    await asyncio.wait_for(ended.wait(), 5)


async def test_with_its_ticket_its_frames_may_be_large(sandboxd: Sandboxd, come: Come) -> None:
    async def gives_much(worker: FakeWorker) -> None:
        await worker.hello()
        await worker.take()
        await worker.give({"text": "x" * 1_000_000})

    await come(_ticket(sandboxd), gives_much)
    await until(lambda: _workers(sandboxd) == 1)

    [value] = await values(sandboxd.client.of("p1"), task("x"))
    assert len(value["text"]) == 1_000_000
