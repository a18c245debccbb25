"""Two runners on one store that never look by themselves: all that reaches the other was told."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, get_args

import pytest

from budflow.execution import intake, watched
from budflow.execution.active import Active
from budflow.execution.inprocess import InProcessExecutor
from budflow.execution.plans import PlanCache
from budflow.execution.supervisor import Supervisor
from budflow.execution.tools import Tools
from budflow.execution.wakes import Topic
from budflow.model import event as e
from budflow.model.execution import Execution, Limit
from budflow.model.identity import new_id, utc_now
from budflow.model.item import ItemList
from budflow.scaling.wakes_here import WakesHere
from budflow.storage.errors import StorageUnavailable
from tests.execution.fakes import PLACE, REGISTRY, FakeHttp
from tests.execution.server import CALL, SET, CountingStore, Server, hang
from tests.execution.vault import Vault
from tests.until import until

NEVER_SECONDS = 3600.0


@pytest.fixture(autouse=True)
def _nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "POLL_SECONDS", NEVER_SECONDS)
    monkeypatch.setattr(watched, "LOOK_SECONDS", NEVER_SECONDS)


@pytest.fixture
async def runners() -> AsyncIterator[tuple[Server, Server]]:
    """The first has room for two executions, the other for many."""
    store, wakes, both = CountingStore(), WakesHere(), []
    for name, room in (("run_1", 2), ("run_2", 100)):
        http, plans, vault = FakeHttp(), PlanCache(store, REGISTRY), Vault()
        executor = InProcessExecutor(Tools(PLACE, http), name)
        supervisor = Supervisor(
            store,
            plans,
            executor,
            runner=name,
            running_max=room,
            queued_max=50,
            lease_seconds=NEVER_SECONDS,
            credentials=vault,
            wakes=wakes,
        )
        both.append(Server(store, plans, supervisor, http, executor, vault))
    for server in both:
        await server.supervisor.start()
    for server in both:
        await until(lambda server=server: not server.supervisor.intake.queued)  # type: ignore[misc] # bound as it is now
    yield both[0], both[1]
    for server in both:
        await server.supervisor.stop(0)


async def test_what_a_runner_can_do_by_itself_is_told_to_nobody(runners: tuple[Server, Server]) -> None:
    runner, _ = runners
    said: list[str] = []
    for topic in get_args(Topic):
        runner.supervisor._wakes.listen(topic, lambda _, topic=topic: said.append(topic))  # type: ignore[misc] # as it is now
    await runner.save("child", SET, ["start > set"])
    await runner.save("w", {"sub": {"type": "flow.sub_workflow", "params": {"workflow": "child"}}}, ["start > sub"])
    for durable in (True, False):
        _, active = await runner.submit("w", durable=durable)
        assert active is not None
        await active.ended

    assert said == []


async def fill(server: Server) -> list[Active]:
    """Two executions that hang at the server, which has no room for more."""
    hang(server)
    await server.save("hanging", CALL, ["start > call"])
    both = [await server.submit("hanging") for _ in range(2)]
    return [active for _, active in both if active is not None]


async def fill_and_save(server: Server) -> None:
    """No room at the server, and a workflow `w` that another can run."""
    await fill(server)
    await server.save("w", SET, ["start > set"])


async def test_what_a_full_runner_queues_the_other_takes_up(runners: tuple[Server, Server]) -> None:
    full, other = runners
    await fill_and_save(full)
    execution_id, active = await full.submit("w")

    assert active is None
    assert (await full.ended(execution_id)).runner in (None, other.supervisor.runner)


async def test_one_that_was_told_by_its_name_is_not_searched_for(
    runners: tuple[Server, Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    full, other = runners
    await fill_and_save(full)
    searches: list[str] = []
    monkeypatch.setattr(full.store, "claim", lambda runner, **_: searches.append(runner))
    execution_id, _ = await full.submit("w")

    assert (await other.ended(execution_id)).status == "succeeded"
    assert searches == []


async def test_what_is_told_by_name_keeps_nobody_from_searching_in_time(
    runners: tuple[Server, Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    full, other = runners
    await fill_and_save(full)
    searched = asyncio.Event()

    async def claim(runner: str, **_: int) -> list[Any]:
        searched.set()
        return []

    monkeypatch.setattr(full.store, "claim", claim)
    monkeypatch.setattr(intake, "POLL_SECONDS", 0.05)
    other.supervisor.intake.look()
    await until(lambda: not other.supervisor.intake.queued)
    searched.clear()
    while not searched.is_set():
        execution_id, _ = await full.submit("w")
        assert (await other.ended(execution_id)).status == "succeeded"


async def test_where_claiming_it_by_its_name_fails_it_is_searched_for(
    runners: tuple[Server, Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    full, other = runners
    await fill_and_save(full)

    async def cut(runner: str, execution_id: str) -> None:
        raise StorageUnavailable

    monkeypatch.setattr(full.store, "claim_queued", cut)
    execution_id, _ = await full.submit("w")
    await until(lambda: other.supervisor.intake.queued)
    other.supervisor.intake.look()  # As after a while.

    assert (await other.ended(execution_id)).status == "succeeded"


async def test_what_a_runner_that_stops_gives_back_the_other_takes_up(runners: tuple[Server, Server]) -> None:
    going, staying = runners
    ids = {active.execution.id for active in await fill(going)}
    hang(staying)
    await going.supervisor.stop(0)
    await until(lambda: ids <= staying.supervisor.holding.held.keys())


async def test_cancelling_reaches_the_runner_that_has_the_execution(runners: tuple[Server, Server]) -> None:
    having, other = runners
    [active, _] = await fill(having)
    await other.supervisor.cancel("default", active.execution.id, "somebody")

    assert (await other.ended(active.execution.id)).status == "cancelled"


async def test_pausing_and_continuing_reach_the_runner_that_has_the_execution(runners: tuple[Server, Server]) -> None:
    having, other = runners
    [active, _] = await fill(having)
    execution_id = active.execution.id
    await other.supervisor.signal("default", execution_id, e.Paused(utc_now(), "somebody"))
    await until(lambda: happened(other, execution_id, e.Paused))
    await other.supervisor.signal("default", execution_id, e.Continued(utc_now(), "somebody"))
    await until(lambda: happened(other, execution_id, e.Continued))


async def happened(server: Server, execution_id: str, kind: type[e.Event]) -> bool:
    return any(isinstance(event, kind) for event in await server.events(execution_id))


async def test_an_answer_reaches_an_execution_that_waits_at_another_runner(runners: tuple[Server, Server]) -> None:
    having, other = runners
    wait: dict[str, Any] = {"ask": {"type": "flow.wait", "params": {"mode": "approval", "text": "Well?"}}}
    await having.save("w", wait, ["start > ask"])
    execution_id, _ = await having.submit("w")
    await until(lambda: happened(other, execution_id, e.WaitStarted))
    answer = e.WaitEnded(utc_now(), "ask", 0, "answered", "somebody", {"approved": True})
    await other.supervisor.answer("default", execution_id, answer)

    assert (await other.ended(execution_id)).status == "succeeded"


async def test_the_end_of_a_called_execution_reaches_its_caller_at_another_runner(
    runners: tuple[Server, Server],
) -> None:
    calling, other = runners
    hang(calling)
    await calling.save("hanging", CALL, ["start > call"])
    await calling.submit("hanging")
    limited = {"concurrency_key": "one", "max_concurrency": 1}
    await calling.save("child", SET, ["start > set"], **limited)
    await calling.save("w", {"sub": {"type": "flow.sub_workflow", "params": {"workflow": "child"}}}, ["start > sub"])
    execution_id, active = await calling.submit("w")  # The child is queued, and here there is no room for it.

    assert active is not None
    async with asyncio.timeout(5):
        await active.ended
    assert (await other.row(execution_id)).status == "succeeded"


async def test_what_was_displaced_at_another_runner_stops_there(runners: tuple[Server, Server]) -> None:
    having, other = runners
    hang(having)
    hang(other)
    await having.save("w", CALL, ["start > call"])
    limit = {"key": "one", "running_max": 1, "policy": "cancel_oldest"}
    first, _ = await submit_limited(having, limit)
    await until(lambda: first in having.supervisor.holding.held)
    await asyncio.sleep(0.02)  # It has looked whether there is anything for it.
    second, _ = await submit_limited(other, limit)

    assert (await other.ended(first)).status == "cancelled"
    await until(lambda: second in {*having.supervisor.holding.held, *other.supervisor.holding.held})


async def submit_limited(server: Server, limit: dict[str, Any]) -> tuple[str, Active | None]:
    version, plan = await server.plans.get_to_run("default", "w")
    execution = Execution(new_id("exe"), "default", "w", 1, "api", "queued", utc_now(), limit=Limit(**limit))
    admitted = e.Admitted(utc_now(), "start", "api", "test", ItemList.of([{}]))
    return execution.id, await server.supervisor.submit(execution, admitted, version, plan)


async def test_who_watches_at_the_other_runner_is_told_of_what_happens(runners: tuple[Server, Server]) -> None:
    having, other = runners
    release = hang(having)
    await having.save("w", CALL, ["start > call"])
    execution_id, _ = await having.submit("w")
    with other.supervisor.watched.watch(execution_id) as watch:
        release.set()
        async with asyncio.timeout(5):
            while not await happened(other, execution_id, e.Finished):
                await watch.news()


async def test_who_watches_what_is_cancelled_in_the_queue_is_told(runners: tuple[Server, Server]) -> None:
    full, other = runners
    await fill(full)
    hang(other)
    other.supervisor.intake.running_max = 0
    await full.save("w", CALL, ["start > call"])
    execution_id, _ = await full.submit("w")
    with other.supervisor.watched.watch(execution_id) as watch:
        watching = asyncio.create_task(watch.news())
        await asyncio.sleep(0)
        await full.supervisor.cancel("default", execution_id, "somebody")
        async with asyncio.timeout(5):
            await watching
    assert await happened(other, execution_id, e.Finished)
    other.supervisor.intake.running_max = 100
