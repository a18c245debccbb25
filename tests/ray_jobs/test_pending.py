"""What a segment's task waits for: told in the node's log, and no longer than somebody wants to wait."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from budflow.model import event as e
from ray_jobs import living_nodes, pending
from ray_jobs.demand import Demand, ResourcesInfeasible
from ray_jobs.executor import RayExecutor
from ray_jobs.living_nodes import LivingNodes, Seen
from ray_jobs.pending import Pending, Told
from ray_jobs.placement import RayNode
from tests.execution.office import Flow, Office
from tests.ray_session import ZONE
from tests.until import until


class FakeLog:
    """The lines of a node, in place of the run that it is a part of."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self.fields: list[Mapping[str, Any]] = []
        self.log, self.node, self.key = self, self, "train"

    def add(self, level: str, message: str, fields: Mapping[str, Any], _item: int | None) -> None:
        self.lines.append((level, message))
        self.fields.append(fields)


class FakeRay:
    """A cluster with nodes that have so many CPUs in all, and so many free."""

    def __init__(self, *nodes: tuple[float, float]) -> None:
        self.nodes: Sequence[tuple[float, float]] = nodes

    def read(self) -> Seen:
        ids = [f"{number:056x}"[::-1] for number, _ in enumerate(self.nodes)]
        return Seen(
            [RayNode(id_, "host", {"CPU": total}, {}) for id_, (total, _) in zip(ids, self.nodes, strict=True)],
            {id_: {"CPU": free} for id_, (_, free) in zip(ids, self.nodes, strict=True)},
        )


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pending, "LOOK_SECONDS", 0.005)
    monkeypatch.setattr(pending, "WAIT_SECONDS", 0.01)
    monkeypatch.setattr(living_nodes, "FRESH_SECONDS", 0)


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> FakeRay:
    """A full cluster."""
    fake = FakeRay((4, 1))
    monkeypatch.setattr(living_nodes, "_read", fake.read)
    return fake


def pending_of(log: FakeLog, told: Told | None = None, **options: Any) -> Pending:
    demand = Demand({"num_cpus": 4}, {})
    given = {"scale_up_seconds": 0.0, "runtime_env": None, **options}
    return Pending("exe_1", log, demand, LivingNodes(), told or Told(), **given)  # type: ignore[arg-type] # a fake


def answered(task: "asyncio.Future[Any]", waiting: Pending) -> "asyncio.Task[Any]":
    return asyncio.get_running_loop().create_task(waiting.result(task))  # type: ignore[arg-type] # Ray's references are awaited alike


async def test_a_full_cluster_is_told_once_with_what_is_free_and_when_the_task_begins(ray: FakeRay) -> None:
    log, task = FakeLog(), asyncio.get_running_loop().create_future()
    waiting = pending_of(log)
    result = answered(task, waiting)
    await until(lambda: bool(log.lines))
    waiting.began()
    task.set_result("done")

    assert await result == "done"
    [(level, full), (_, begins)] = log.lines
    assert level == "warning"
    assert full == "Waits on Ray for num_cpus=4: 000000000000 (host) has num_cpus=1 of 4 free."
    assert begins.startswith("Begins, after 0.")
    assert log.fields[0]["resources"] == {"num_cpus": 4}
    assert log.fields[0]["since"]


async def test_of_many_rounds_that_wait_one_says_so(ray: FakeRay) -> None:
    log, told, loop = FakeLog(), Told(), asyncio.get_running_loop()
    tasks = [loop.create_future() for _ in range(5)]
    results = [answered(task, pending_of(log, told)) for task in tasks]
    await until(lambda: bool(log.lines))
    for task in tasks:
        task.set_result("done")
    await asyncio.gather(*results)

    assert [message.split()[0] for _, message in log.lines] == ["Waits", "Begins,"]


async def test_a_task_that_begins_at_once_says_nothing(ray: FakeRay) -> None:
    log, task = FakeLog(), asyncio.get_running_loop().create_future()
    waiting = pending_of(log)
    waiting.began()
    task.set_result("done")

    assert await answered(task, waiting) == "done"
    assert log.lines == []


async def test_a_runtime_environment_that_is_built_is_told_until_a_task_has_begun_in_it(ray: FakeRay) -> None:
    log, told, loop = FakeLog(), Told(), asyncio.get_running_loop()
    first, task = pending_of(log, told, runtime_env="ml"), loop.create_future()
    result = answered(task, first)
    await until(lambda: bool(log.lines))
    first.began()
    task.set_result("done")
    await result

    assert log.lines[0] == ("info", "Preparing the runtime environment `ml`…")
    assert log.lines[1][1].startswith("Begins in the runtime environment `ml`, after 0.")
    assert told.ready == {"ml"}


async def test_a_node_that_an_autoscaler_may_add_is_waited_for_and_then_no_more(ray: FakeRay) -> None:
    ray.nodes = [(2, 2)]
    log, task = FakeLog(), asyncio.get_running_loop().create_future()

    with pytest.raises(ResourcesInfeasible, match="num_cpus=2"):
        await answered(task, pending_of(log, scale_up_seconds=0.05))

    [(_, said)] = log.lines
    assert "No Ray node has num_cpus=4" in said
    assert "Waits 0.05 s for one to join the cluster." in said


async def test_a_node_that_left_the_cluster_may_come_back_for_a_while(
    ray: FakeRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pending, "BACK_SECONDS", 0.05)
    log, task = FakeLog(), asyncio.get_running_loop().create_future()
    result = answered(task, pending_of(log))
    await until(lambda: bool(log.lines))
    ray.nodes = []

    with pytest.raises(ResourcesInfeasible, match="there is none at all"):
        await result
    assert "Waits 0.05 s for one to join the cluster." in log.lines[-1][1]


async def test_a_node_that_joins_in_time_ends_the_wait_for_it(ray: FakeRay) -> None:
    ray.nodes = [(2, 2)]
    log, task = FakeLog(), asyncio.get_running_loop().create_future()
    waiting = pending_of(log, scale_up_seconds=30)
    result = answered(task, waiting)
    await until(lambda: bool(log.lines))
    ray.nodes = [(2, 2), (4, 4)]
    waiting.began()
    task.set_result("done")

    assert await result == "done"


async def test_while_the_head_is_away_nothing_is_concluded(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = asyncio.Event()
    loop = asyncio.get_running_loop()

    def away() -> Seen:
        loop.call_soon_threadsafe(looked.set)
        raise OSError("The head is away.")

    monkeypatch.setattr(living_nodes, "_read", away)
    log, task = FakeLog(), loop.create_future()
    result = answered(task, pending_of(log))
    await looked.wait()
    await LivingNodes().require(Demand({"num_cpus": 4}, {}))
    task.set_result("done")

    assert await result == "done"
    assert log.lines == []


@pytest.fixture
async def office(ray_executor: RayExecutor) -> AsyncIterator[Office]:
    office = Office(ray_executor)
    await office.supervisor.start()
    await until(lambda: not office.supervisor.intake.queued)
    async with asyncio.timeout(60):
        yield office
    await office.supervisor.stop(0.1)


@pytest.mark.ray
@pytest.mark.xdist_group("ray")
async def test_on_a_full_cluster_a_node_waits_visibly_and_its_own_time_limit_ends_it(
    office: Office, tmp_path: Path
) -> None:
    mark = tmp_path / "begun"
    block = {
        "type": "test.block",
        "params": {"seconds": 60, "mark": str(mark)},
        "resources": {"num_cpus": 2},
    }
    blocking = await office.start(Flow({"block": block}, ["start > block"]))
    await until(mark.exists, 50)
    where = {"type": "test.where", "resources": {"num_cpus": 2}, "timeout_seconds": 4}

    active = await office.run(Flow({"where": where}, ["start > where"]))
    await office.supervisor.cancel("default", blocking.execution.id, "test")
    await blocking.ended

    assert active.finished is not None
    assert active.finished.failure is not None
    assert active.finished.failure.code == "node.timed_out"
    assert "waited on Ray for num_cpus=2" in active.finished.failure.message
    [(node, level, message, _, _)] = await office.logged(active.execution.id)
    assert (node, level) == ("where", "warning")
    assert "Waits on Ray for num_cpus=2" in message
    told = [event for event in await office.events(active.execution.id) if isinstance(event, e.NodeLogged)]
    assert told, "it stands in the journal before the node ends"


@pytest.mark.ray
@pytest.mark.xdist_group("ray")
async def test_the_runner_knows_of_a_node_that_computes_that_it_has_begun(office: Office) -> None:
    quick = {"type": "test.where"}  # A worker of Ray takes seconds to start.
    block = {"type": "test.block", "params": {"seconds": 60}, "timeout_seconds": 2}

    active = await office.run(Flow({"quick": quick, "block": block}, ["start > quick", "quick > block"]))

    assert active.finished is not None
    assert active.finished.failure is not None
    assert active.finished.failure.code == "node.timed_out"
    assert "waited" not in active.finished.failure.message


@pytest.mark.ray
@pytest.mark.xdist_group("ray")
async def test_labels_of_ray_nodes_decide_where_a_node_runs(office: Office) -> None:
    zone = "ray.io/availability-zone"
    here = {"type": "test.where", "resources": {"labels": {zone: f"in({ZONE}, other)", "tier": "!gpu"}}}
    elsewhere = {"type": "test.where", "resources": {"num_cpus": 0, "labels": {zone: f"!{ZONE}", "tier": "gpu"}}}

    placed = await office.run(Flow({"where": here}, ["start > where"]))
    refused = await office.run(Flow({"where": elsewhere}, ["start > where"]))

    assert placed.finished is not None
    assert (placed.finished.status, placed.finished.failure) == ("succeeded", None)
    assert refused.finished is not None
    assert refused.finished.failure is not None
    assert refused.finished.failure.code == "ray.resources_infeasible"
    assert f"No Ray node has num_cpus=0 on a node with {zone}=!{ZONE}, tier=gpu: " in refused.finished.failure.message
    assert f"{zone}={ZONE}, no tier" in refused.finished.failure.message
