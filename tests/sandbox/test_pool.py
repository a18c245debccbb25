"""The pool: workers are the project's own, shared out fairly, kept warm, and ended in time."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from budflow.model.sandbox import SandboxBusy, SandboxUnavailable
from budflow.sandbox.access import Tickets
from budflow.sandbox.figures import Figures
from budflow.sandbox.pool import Pool, PoolLimits, Want
from budflow.sandbox.runners import WorkerKind
from budflow.sandbox.start_worker import WorkerStarter
from budflow.sandbox.worker_link import Patience
from tests.sandbox.fake_workers import FakeRunner, FakeWorker
from tests.until import until

KIND = WorkerKind("sha256:a")
OTHER = WorkerKind("sha256:b")
P1, P2, P3 = (Want(KIND, name) for name in ("p1", "p2", "p3"))


@dataclass
class Clock:
    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Pooled:
    """A pool with what stands around it."""

    pool: Pool
    runner: FakeRunner
    figures: Figures
    clock: Clock = field(default_factory=Clock)


OpenPool = Callable[..., Pooled]


@pytest.fixture
async def open_pool() -> AsyncIterator[OpenPool]:
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="budflow-")))

        def open_one(runner: FakeRunner | None = None, *, seconds: float = 5.0, **limits: float) -> Pooled:
            runner, figures, clock = runner or FakeRunner(), Figures(), Clock()
            patience = Patience(heartbeat_seconds=0.5)
            starter = WorkerStarter(runner, directory, Tickets(b"k" * 32), None, patience, seconds)
            given = PoolLimits(**{"warm": 0, **limits})  # type: ignore[arg-type] # floats stand for whole numbers too
            pool = Pool(starter, given, figures, clock=clock)
            stack.push_async_callback(runner.close)
            stack.push_async_callback(pool.close)
            return Pooled(pool, runner, figures, clock)

        yield open_one


async def _idle(worker: FakeWorker) -> None:
    await worker.hello()
    await worker.receive()


async def _hang() -> None:
    await asyncio.get_running_loop().create_future()


async def _raise() -> None:
    raise SandboxUnavailable("The engine is on holiday.")


async def test_a_project_gets_its_worker_again(open_pool: OpenPool) -> None:
    pooled = open_pool()

    first = await pooled.pool.acquire(P1)
    pooled.pool.release(first)

    assert await pooled.pool.acquire(P1) is first
    assert len(pooled.runner.started) == 1


async def test_another_project_never_gets_it(open_pool: OpenPool) -> None:
    pooled = open_pool()
    first = await pooled.pool.acquire(P1)
    pooled.pool.release(first)

    second = await pooled.pool.acquire(P2)

    assert second is not first
    assert (first.project, second.project) == ("p1", "p2")


async def test_another_image_is_another_worker(open_pool: OpenPool) -> None:
    pooled = open_pool()
    first = await pooled.pool.acquire(P1)
    pooled.pool.release(first)

    assert (await pooled.pool.acquire(Want(OTHER, "p1"))).kind == OTHER


async def test_a_warm_one_stands_ready_for_whoever_comes(open_pool: OpenPool) -> None:
    pooled = open_pool(warm=1)
    await pooled.pool.acquire(P1)
    await until(lambda: pooled.figures.starts == 2)

    # No start lies between asking and getting.
    worker = await asyncio.wait_for(pooled.pool.acquire(P2), 0.1)

    assert worker.project == "p2"
    await until(lambda: pooled.figures.starts == 3)


async def test_no_more_workers_than_allowed_are_started(open_pool: OpenPool) -> None:
    pooled = open_pool(workers_max=2, warm=2)
    await pooled.pool.acquire(P1)
    await pooled.pool.acquire(P1)
    waiting = asyncio.create_task(pooled.pool.acquire(P1))
    await asyncio.sleep(0)

    assert not waiting.done()
    assert len(pooled.runner.living) == 2
    waiting.cancel()


async def test_one_that_idles_makes_room_for_another_project(open_pool: OpenPool) -> None:
    pooled = open_pool(workers_max=1)
    first = await pooled.pool.acquire(P1)
    pooled.pool.release(first)

    second = await pooled.pool.acquire(P2)

    assert second.project == "p2"
    assert [started.ended.done() for started in pooled.runner.started] == [True, False]


async def test_the_least_recently_used_one_makes_room(open_pool: OpenPool) -> None:
    pooled = open_pool(workers_max=2)
    old, new = await pooled.pool.acquire(P1), await pooled.pool.acquire(P2)
    pooled.pool.release(old)
    pooled.clock.now += 1
    pooled.pool.release(new)

    await pooled.pool.acquire(P3)

    assert old.state == "ending"
    assert new.state == "idle"


async def test_a_project_that_waits_too_long_gets_the_place_of_a_busy_one(open_pool: OpenPool) -> None:
    pooled = open_pool(workers_max=1)
    first = await pooled.pool.acquire(P1)
    greedy = asyncio.create_task(pooled.pool.acquire(P1))
    await asyncio.sleep(0)
    starving = asyncio.create_task(pooled.pool.acquire(P2))
    await asyncio.sleep(0)
    pooled.clock.now += 2

    pooled.pool.release(first)

    assert (await asyncio.wait_for(starving, 2)).project == "p2"
    assert not greedy.done()
    greedy.cancel()


async def test_within_patience_a_worker_keeps_its_project(open_pool: OpenPool) -> None:
    pooled = open_pool(workers_max=1)
    first = await pooled.pool.acquire(P1)
    again = asyncio.create_task(pooled.pool.acquire(P1))
    other = asyncio.create_task(pooled.pool.acquire(P2))
    await asyncio.sleep(0)

    pooled.pool.release(first)

    assert await asyncio.wait_for(again, 1) is first
    other.cancel()


async def test_a_full_queue_refuses(open_pool: OpenPool) -> None:
    pooled = open_pool(workers_max=1, queued_max=1)
    await pooled.pool.acquire(P1)
    waiting = asyncio.create_task(pooled.pool.acquire(P1))
    await asyncio.sleep(0)

    with pytest.raises(SandboxBusy, match="all 1 places are taken"):
        await pooled.pool.acquire(P2)
    waiting.cancel()


async def test_a_project_that_floods_the_queue_leaves_places_to_the_others(open_pool: OpenPool) -> None:
    pooled = open_pool(workers_max=1, queued_max=4)
    await pooled.pool.acquire(P1)
    waiting = [asyncio.create_task(pooled.pool.acquire(P1)) for _ in range(2)]
    await asyncio.sleep(0)

    with pytest.raises(SandboxBusy, match=r"of this project .* 2 of 4 places") as busy:
        await pooled.pool.acquire(P1)
    assert "sandbox_queued_max" in busy.value.hint
    waiting.append(asyncio.create_task(pooled.pool.acquire(P2)))
    await until(lambda: pooled.pool.describe()["queued"] == 3)

    for one in waiting:
        one.cancel()


async def test_a_worker_is_replaced_after_so_many_tasks(open_pool: OpenPool) -> None:
    pooled = open_pool(tasks_a_worker=2)
    worker = await pooled.pool.acquire(P1)
    worker.tasks_done = 2

    pooled.pool.release(worker)

    assert await pooled.pool.acquire(P1) is not worker


async def test_a_spoiled_worker_is_not_used_again(open_pool: OpenPool) -> None:
    pooled = open_pool()
    worker = await pooled.pool.acquire(P1)
    worker.link.spoiled = "timed out"

    pooled.pool.release(worker)

    assert await pooled.pool.acquire(P1) is not worker


async def test_idle_workers_end_after_a_while_and_their_kind_is_not_kept_warm(open_pool: OpenPool) -> None:
    pooled = open_pool(warm=1, idle_seconds=300)
    worker = await pooled.pool.acquire(P1)
    await until(lambda: pooled.figures.starts == 2)
    pooled.pool.release(worker)

    pooled.clock.now += 200
    pooled.pool.sweep()
    assert len(pooled.runner.living) == 2
    pooled.clock.now += 200
    pooled.pool.sweep()

    await until(lambda: not pooled.runner.living)


async def test_one_that_dies_while_idle_is_forgotten(open_pool: OpenPool) -> None:
    pooled = open_pool()
    worker = await pooled.pool.acquire(P1)
    pooled.pool.release(worker)

    await pooled.runner.started[0].kill()
    await until(lambda: pooled.pool.describe()["workers"] == [])

    assert await pooled.pool.acquire(P1) is not worker


async def test_whoever_gives_up_waiting_leaves_the_worker_to_others(open_pool: OpenPool) -> None:
    pooled = open_pool(workers_max=1)
    first = await pooled.pool.acquire(P1)
    gone = asyncio.create_task(pooled.pool.acquire(P1))
    patient = asyncio.create_task(pooled.pool.acquire(P1))
    await asyncio.sleep(0)
    gone.cancel()

    pooled.pool.release(first)

    assert await asyncio.wait_for(patient, 1) is first


async def test_whoever_gives_up_as_a_worker_comes_gives_it_back(open_pool: OpenPool) -> None:
    pooled = open_pool(workers_max=1)
    first = await pooled.pool.acquire(P1)
    gone = asyncio.create_task(pooled.pool.acquire(P1))
    await asyncio.sleep(0)

    pooled.pool.release(first)  # It is given to the waiting one, which is cancelled before it hears of that.
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)

    assert await asyncio.wait_for(pooled.pool.acquire(P1), 1) is first


async def test_a_runner_that_refuses_is_told_to_who_waits(open_pool: OpenPool) -> None:
    pooled = open_pool(FakeRunner(refuses=True))

    with pytest.raises(SandboxUnavailable, match="on holiday"):
        await pooled.pool.acquire(P1)


async def test_a_worker_that_never_says_hello_is_killed_and_tried_once_more(open_pool: OpenPool) -> None:
    async def mute(worker: FakeWorker) -> None:
        await worker.connection.recv()

    pooled = open_pool(FakeRunner([mute]), seconds=0.1)

    with pytest.raises(SandboxUnavailable, match=r"hello within 0\.1 s"):
        await pooled.pool.acquire(P1)
    assert len(pooled.runner.started) == 2
    assert not pooled.runner.living


async def test_the_second_try_may_succeed(open_pool: OpenPool) -> None:
    async def dies(worker: FakeWorker) -> None:
        pass

    pooled = open_pool(FakeRunner([dies, _idle]))

    assert (await pooled.pool.acquire(P1)).project == "p1"


@pytest.mark.parametrize("said", [{"protocol": 2}, {"ticket": "forged.ticket"}, {"extra": 1}])
async def test_a_hello_that_is_none_is_refused(open_pool: OpenPool, said: dict[str, object]) -> None:
    async def stranger(worker: FakeWorker) -> None:
        await worker.hello(**said)

    pooled = open_pool(FakeRunner([stranger]), seconds=0.3)

    with pytest.raises(SandboxUnavailable):
        await pooled.pool.acquire(P1)


async def test_a_ticket_lets_one_worker_in_once(open_pool: OpenPool) -> None:
    tickets: list[str] = []

    async def remembers(worker: FakeWorker) -> None:
        tickets.append(worker.ticket)
        await _idle(worker)

    async def reuses(worker: FakeWorker) -> None:
        await worker.hello(ticket=tickets[0])

    pooled = open_pool(FakeRunner([remembers, reuses]), seconds=0.3)
    await pooled.pool.acquire(P1)

    with pytest.raises(SandboxUnavailable):
        await pooled.pool.acquire(P2)


async def test_the_socket_is_gone_once_the_worker_is_in(open_pool: OpenPool) -> None:
    pooled = open_pool()

    await pooled.pool.acquire(P1)

    assert not pooled.runner.started[0].socket.exists()


@pytest.mark.parametrize("kill", [_hang, _raise])
async def test_a_worker_that_cannot_be_killed_keeps_no_place(
    open_pool: OpenPool, monkeypatch: pytest.MonkeyPatch, kill: Callable[[], Awaitable[None]]
) -> None:
    monkeypatch.setattr("budflow.sandbox.pooled_worker.KILL_SECONDS", 0.05)
    pooled = open_pool(workers_max=1)
    worker = await pooled.pool.acquire(P1)
    assert worker.started is not None
    pooled.pool.release(worker)

    with monkeypatch.context() as patched:
        patched.setattr(worker.started, "kill", kill)
        other = await asyncio.wait_for(pooled.pool.acquire(P2), 5)

    assert other.project == "p2"


async def test_nothing_is_left_when_it_is_closed(open_pool: OpenPool) -> None:
    pooled = open_pool(workers_max=2, warm=1)
    await pooled.pool.acquire(P1)
    waiting = [asyncio.create_task(pooled.pool.acquire(P2)) for _ in range(3)]
    await asyncio.sleep(0)

    await pooled.pool.close()
    ends = await asyncio.gather(*waiting, return_exceptions=True)

    assert all(isinstance(end, SandboxBusy) or not isinstance(end, BaseException) for end in ends)
    assert not pooled.runner.living
    assert not any(started.socket.parent.exists() for started in pooled.runner.started)
