"""Many tasks of several projects on workers that die, hang and lie at every step: each is answered, nothing leaks."""

import asyncio
import random
from collections import Counter
from pathlib import Path

import pytest

from budflow.model.failure import NodeError
from budflow.model.sandbox import SandboxBusy
from budflow.sandbox.worker_link import Patience
from tests.sandbox.conftest import OpenSandboxd
from tests.sandbox.fake_workers import FakeRunner, FakeWorker
from tests.sandbox.tasks import task, values
from tests.until import until

IMPATIENT = Patience(
    heartbeat_seconds=0.2, answer_seconds=0.1, send_seconds=0.2, cancel_seconds=0.05, grace_seconds=0.05
)
PROJECTS = ("p1", "p2", "p3")
WORKERS_MAX = 4


class Trouble:
    """What workers do wrong, by chance; what they saw."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.seen: list[set[str]] = []

    async def misdeed(self, worker: FakeWorker) -> None:
        """Die, hang, or lie. Returns where it goes on as if nothing was."""
        match self.random.randrange(24):
            case 0:
                worker.connection.transport.abort()
                await worker.receive()
            case 1:
                await asyncio.get_running_loop().create_future()
            case 2:
                await worker.connection.send("{}")
            case 3:
                await worker.send("result", task_id="other", items=[], failed=[], last=True)
            case 4:
                await worker.send("draining")

    async def live(self, worker: FakeWorker) -> None:
        """Give items back, as long as nothing goes wrong."""
        seen: set[str] = set()
        self.seen.append(seen)
        await self.misdeed(worker)
        await worker.hello()
        while True:
            offer = await worker.receive()
            await self.misdeed(worker)
            if offer["type"] != "offer":
                return  # Told to go, or that the task before is not wanted.
            if self.random.random() < 0.05:
                await worker.send("decline", task_id=offer["task_id"], reason="not today")
                continue
            await worker.send("accept", task_id=offer["task_id"])
            worker.task = await worker.receive()
            if worker.task["type"] != "task":
                return
            seen.add(worker.task["code"])
            await self.misdeed(worker)
            await self.do(worker)

    async def do(self, worker: FakeWorker) -> None:
        """The task at hand."""
        await worker.say("log", level="info", message="at it")
        if self.random.random() < 0.1:
            await worker.say("error", error={"code": "code.failed", "message": "no"})
            return
        await worker.give({"part": 1}, last=False)
        await self.misdeed(worker)
        await worker.give({"part": 2})


@pytest.mark.generated
@pytest.mark.parametrize("seed", range(12))
async def test_every_task_is_answered_and_nothing_leaks(open_sandboxd: OpenSandboxd, seed: int, tmp_path: Path) -> None:
    trouble = Trouble(seed)
    runner = FakeRunner([trouble.live])
    before = len(asyncio.all_tasks())
    sandboxd = await open_sandboxd(
        runner,
        patience=IMPATIENT,
        workers_max=WORKERS_MAX,
        workers_warm=1,
        tasks_a_worker=5,
        queued_max=30,
        start_seconds=0.15,
    )
    chance = random.Random(seed)
    most = 0
    ends: Counter[str] = Counter()

    async def one(number: int) -> None:
        nonlocal most
        project = chance.choice(PROJECTS)
        memory_mb = 256 if chance.random() < 0.8 else 512
        asked = task(project, timeout_seconds=0.3, name=f"task {number}", memory_mb=memory_mb)
        try:
            async with asyncio.timeout(0.02 if chance.random() < 0.1 else 20):
                assert await values(sandboxd.client.of(project), asked) == [{"part": 1}, {"part": 2}]
            ends["done"] += 1
        except NodeError as error:
            ends[error.code] += 1
        except TimeoutError:
            ends["cancelled"] += 1
        most = max(most, len(runner.living))

    tasks = [asyncio.create_task(one(number)) for number in range(40)]
    await asyncio.wait_for(asyncio.gather(*tasks), 30)

    assert ends.total() == 40
    assert ends["done"] > 0
    assert most <= WORKERS_MAX
    assert all(len(projects) <= 1 for projects in trouble.seen)

    async def at_rest() -> bool:
        status = await sandboxd.client.describe()
        return (status["queued"], status["running"]) == (0, 0)

    await until(at_rest)
    assert set(ends) - {"done", "cancelled", SandboxBusy.code} <= {
        "sandbox.worker_lost",
        "sandbox.unavailable",
        "code.failed",
        "code.timed_out",
    }

    await sandboxd.client.close()
    await sandboxd.daemon.broker.close()
    assert not runner.living
    await until(lambda: len(asyncio.all_tasks()) <= before + 4)  # The server's own, and its sweeper.
    assert not list((sandboxd.directory / "workers").resolve().iterdir())
