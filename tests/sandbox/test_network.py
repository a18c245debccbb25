"""Code reaches the hosts that its task names, while it runs; before and after that the way leads nowhere."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from budflow.model.sandbox import CodeFailed, SandboxUnavailable
from budflow.sandbox.runners import EGRESS_SOCKET
from tests.sandbox.conftest import OpenSandboxd
from tests.sandbox.fake_workers import FakeRunner, FakeWorker
from tests.sandbox.tasks import task, values
from tests.until import until


@dataclass
class FakeWay:
    """Meets WayOut: what may be reached now, and all that ever could be."""

    path: Path
    hosts: tuple[str, ...]
    allowed: list[tuple[str, ...]] = field(default_factory=list)
    closed: bool = False

    async def allow(self, hosts: Sequence[str], name: str) -> None:
        self.hosts = tuple(hosts)
        self.allowed.append(self.hosts)

    async def close(self) -> None:
        self.closed = True


@dataclass
class FakeEgress:
    """Meets Egress."""

    ways: list[FakeWay] = field(default_factory=list)

    async def serve(self, path: Path, hosts: Sequence[str], name: str, /) -> FakeWay:
        self.ways.append(FakeWay(path, tuple(hosts)))
        return self.ways[-1]


async def test_the_hosts_of_a_task_can_be_reached_while_it_runs(open_sandboxd: OpenSandboxd) -> None:
    egress, seen = FakeEgress(), []

    async def looks(worker: FakeWorker) -> None:
        seen.append(egress.ways[0].hosts)
        await worker.hello()
        while True:
            await worker.take()
            seen.append(egress.ways[0].hosts)
            await worker.give()

    runner = FakeRunner([looks])
    sandboxd = await open_sandboxd(runner, egress=egress)
    sandbox = sandboxd.client.of("p1")

    await values(sandbox, task("x", network=("a.example",)))
    await values(sandbox, task("x", network=("b.example", "*.c.example:8443")))

    assert seen == [(), ("a.example",), ("b.example", "*.c.example:8443")]
    [way] = egress.ways
    assert way.allowed == [("a.example",), (), ("b.example", "*.c.example:8443"), ()]
    assert way.path == runner.started[0].socket.with_name(EGRESS_SOCKET)
    await runner.started[0].kill()
    await until(lambda: way.closed)


async def test_what_is_left_of_a_task_does_not_have_the_hosts_of_the_next_one(open_sandboxd: OpenSandboxd) -> None:
    egress, seen = FakeEgress(), []

    async def cleans_up_first(worker: FakeWorker) -> None:
        await worker.hello()
        offer = await worker.receive()
        seen.append(egress.ways[0].hosts)  # Processes of the task before may live until the offer is accepted.
        await worker.send("accept", task_id=offer["task_id"])
        worker.task = await worker.receive()
        seen.append(egress.ways[0].hosts)
        await worker.give()

    sandboxd = await open_sandboxd(FakeRunner([cleans_up_first]), egress=egress)

    await values(sandboxd.client.of("p1"), task("x", network=("a.example",)))

    assert seen == [(), ("a.example",)]


async def test_the_longest_name_of_a_host_is_taken(open_sandboxd: OpenSandboxd) -> None:
    egress, host = FakeEgress(), "*." + ".".join(["h" * 62] * 4) + ":8443"
    sandboxd = await open_sandboxd(FakeRunner(), egress=egress)

    assert await values(sandboxd.client.of("p1"), task("x", network=(host,))) == [{"n": 1}]
    assert egress.ways[0].allowed[0] == (host,)


async def test_it_is_closed_after_a_failure_too(open_sandboxd: OpenSandboxd) -> None:
    async def fails(worker: FakeWorker) -> None:
        await worker.hello()
        await worker.take()
        await worker.say("error", error={"code": "code.failed", "message": "no"})
        await worker.receive()

    egress = FakeEgress()
    sandboxd = await open_sandboxd(FakeRunner([fails]), egress=egress)

    with pytest.raises(CodeFailed):
        await values(sandboxd.client.of("p1"), task("x", network=("a.example",)))

    assert egress.ways[0].hosts == ()


async def test_code_without_hosts_has_no_way_out(open_sandboxd: OpenSandboxd) -> None:
    egress, runner = FakeEgress(), FakeRunner()
    sandboxd = await open_sandboxd(runner, egress=egress)

    await values(sandboxd.client.of("p1"), task("x"))

    assert egress.ways == []
    assert not runner.started[0].kind.egress


async def test_workers_with_a_way_out_run_only_code_that_asks_for_one(open_sandboxd: OpenSandboxd) -> None:
    runner = FakeRunner()
    sandboxd = await open_sandboxd(runner, egress=FakeEgress())
    sandbox = sandboxd.client.of("p1")

    await values(sandbox, task("x", network=("a.example",)))
    await values(sandbox, task("x"))

    assert [started.kind.egress for started in runner.started] == [True, False]


async def test_a_sandbox_without_ways_out_refuses(open_sandboxd: OpenSandboxd) -> None:
    sandboxd = await open_sandboxd(FakeRunner())

    with pytest.raises(SandboxUnavailable, match="network"):
        await values(sandboxd.client.of("p1"), task("x", network=("a.example",)))
