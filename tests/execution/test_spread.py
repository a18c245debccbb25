"""Called executions among several runners: a single one stays with its caller, many are spread, and none is lost."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from budflow.execution import intake, spread
from budflow.execution.inprocess import InProcessExecutor
from budflow.execution.plans import PlanCache
from budflow.execution.spread import HERE_MAX
from budflow.execution.supervisor import Supervisor
from budflow.execution.tools import Tools
from budflow.model import event as e
from budflow.scaling.wakes_here import WakesHere
from budflow.settings import Settings
from budflow.worker import open_worker
from tests.execution.fakes import PLACE, REGISTRY, FakeHttp
from tests.execution.server import CALL, SET, CountingStore, Server, hang
from tests.execution.vault import Vault
from tests.until import until

PAUSE = {"wait": {"type": "flow.wait", "params": {"mode": "duration", "seconds": 0.05}}, **SET}


class SharedStore(CountingStore):
    """A store in memory of two runners, neither of which ever dies."""

    async def count_runners(self) -> int:
        return 2

    async def release_dead(self, runner: str) -> list[str]:
        return []


@pytest.fixture
async def runners(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Server, Server]]:
    """Two that know of each other, with room for 20 executions each."""
    monkeypatch.setattr(intake, "POLL_SECONDS", 0.05)
    store, wakes, both = SharedStore(), WakesHere(), []
    for name in ("run_1", "run_2"):
        http, plans, vault = FakeHttp(), PlanCache(store, REGISTRY), Vault()
        executor = InProcessExecutor(Tools(PLACE, http), name)
        supervisor = Supervisor(
            store,
            plans,
            executor,
            runner=name,
            running_max=20,
            queued_max=500,
            credentials=vault,
            wakes=wakes,
        )
        both.append(Server(store, plans, supervisor, http, executor, vault))
    for server in both:
        await server.supervisor.start()
    await until(lambda: all(server.supervisor.intake.runners == 2 for server in both))
    yield both[0], both[1]
    for server in both:
        await server.supervisor.stop(0)


def calling(workflow: str, **params: Any) -> dict[str, Any]:
    return {"sub": {"type": "flow.sub_workflow", "params": {"workflow": workflow, **params}}}


async def places(server: Server, execution_id: str) -> Counter[str]:
    """How many of the executions that this one called were last taken up by which runner."""
    found = Counter[str]()
    for event in await server.events(execution_id):
        if isinstance(event, e.ChildStarted):
            begun = [one for one in await server.events(event.execution_id) if isinstance(one, e.Started)]
            found[begun[-1].runner] += 1
    return found


async def result_of(server: Server, execution_id: str) -> Sequence[dict[str, Any]]:
    [finished] = [
        event
        for event in await server.events(execution_id)
        if isinstance(event, e.NodeFinished) and event.node == "sub"
    ]
    return finished.outputs["main"].to_json()


async def test_a_single_call_stays_with_the_runner_of_its_caller(runners: tuple[Server, Server]) -> None:
    caller, _ = runners
    await caller.save("child", PAUSE, ["start > wait", "wait > set"])
    await caller.save("w", calling("child"), ["start > sub"])
    execution_id, _ = await caller.submit("w")

    assert (await caller.ended(execution_id)).status == "succeeded"
    assert await places(caller, execution_id) == {"run_1": 1}


async def test_many_calls_are_spread_and_the_caller_gets_every_result(runners: tuple[Server, Server]) -> None:
    caller, _ = runners
    await caller.save("child", PAUSE, ["start > wait", "wait > set"])
    await caller.save("w", calling("child", call="per_item", concurrency=100), ["start > sub"])
    execution_id, active = await caller.submit("w", [{"n": number} for number in range(100)])

    assert active is not None
    active.watchers += 1
    assert (await caller.ended(execution_id)).status == "succeeded"
    assert await result_of(caller, execution_id) == [{"n": number, "x": 1} for number in range(100)]
    found = await places(caller, execution_id)
    assert found.total() == 100
    assert found["run_1"] >= HERE_MAX
    assert found["run_2"] >= 20


async def test_what_a_caller_called_comes_to_it_though_its_runner_stops(runners: tuple[Server, Server]) -> None:
    caller, other = runners
    await caller.save("child", PAUSE, ["start > wait", "wait > set"])
    await caller.save("w", calling("child", call="per_item", concurrency=40), ["start > sub"])
    execution_id, _ = await caller.submit("w", [{"n": number} for number in range(40)])
    await until(lambda: any(held.execution.mode == "child" for held in other.supervisor.holding.held.values()))
    await caller.supervisor.stop(0)

    assert (await other.ended(execution_id)).status == "succeeded"
    assert await result_of(other, execution_id) == [{"n": number, "x": 1} for number in range(40)]


async def test_calls_that_nobody_waits_for_are_left_to_the_queue(runners: tuple[Server, Server]) -> None:
    caller, other = runners
    hang(caller)
    hang(other)
    await caller.save("child", CALL, ["start > call"])
    await caller.save("w", calling("child", call="per_item", wait=False), ["start > sub"])
    execution_id, _ = await caller.submit("w", [{"n": number} for number in range(30)])

    assert (await caller.ended(execution_id)).status == "succeeded"
    await until(lambda: len(caller.supervisor.holding.held) + len(other.supervisor.holding.held) == 30)
    assert len(other.supervisor.holding.held) >= 10


async def test_quick_calls_stay_once_they_are_known_to_be(
    runners: tuple[Server, Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spread, "QUICK_SECONDS", 60.0)
    caller, _ = runners
    await caller.save("child", SET, ["start > set"])
    await caller.save("one", calling("child"), ["start > sub"])
    await caller.save("w", calling("child", call="per_item", concurrency=100), ["start > sub"])
    known, _ = await caller.submit("one")
    await caller.ended(known)
    execution_id, _ = await caller.submit("w", [{"n": number} for number in range(50)])

    assert (await caller.ended(execution_id)).status == "succeeded"
    assert await places(caller, execution_id) == {"run_1": 50}


async def test_callers_that_fill_every_runner_leave_room_for_what_they_call(runners: tuple[Server, Server]) -> None:
    caller, other = runners
    await caller.save("child", PAUSE, ["start > wait", "wait > set"])
    later = {"later": {"type": "flow.wait", "params": {"mode": "duration", "seconds": 0.3}}}
    nodes = {**later, **calling("child", call="per_item", concurrency=15)}
    await caller.save("w", nodes, ["start > later", "later > sub"])
    ids = []
    for server in (caller, other):
        for _ in range(20):
            execution_id, active = await server.submit("w", [{"n": number} for number in range(3)])
            assert active is not None
            active.watchers += 1  # It may not be given back while it waits.
            ids.append(execution_id)

    for execution_id in ids:
        assert (await caller.ended(execution_id)).status == "succeeded"


@pytest.mark.postgres
async def test_runners_on_one_database_share_what_is_called(tmp_path: Path, postgres_url: str) -> None:
    settings = Settings(data_dir=tmp_path, database_url=postgres_url, blob_url=f"file://{tmp_path}/blobs")
    async with AsyncExitStack() as opened:
        main = await opened.enter_async_context(open_worker(settings, kind="main"))
        worker = await opened.enter_async_context(open_worker(settings))
        await until(lambda: main.supervisor.intake.runners == 2)
        caller = Server(main.store, main.plans, main.supervisor, FakeHttp(), main.executor, Vault())  # type: ignore[arg-type] # they meet it by shape
        await caller.save("child", PAUSE, ["start > wait", "wait > set"])
        await caller.save("w", calling("child", call="per_item", concurrency=60), ["start > sub"])
        execution_id, _ = await caller.submit("w", [{"n": number} for number in range(60)])

        assert (await caller.ended(execution_id)).status == "succeeded"
        assert await result_of(caller, execution_id) == [{"n": number, "x": 1} for number in range(60)]
        found = await places(caller, execution_id)
        assert found.total() == 60
        assert found[worker.supervisor.runner] >= 10
