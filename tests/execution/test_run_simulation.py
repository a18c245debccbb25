"""The whole engine under simulation: real nodes, runs, journals and supervisor, with everything around them failing."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from budflow.execution.advance import fold
from budflow.execution.projection import tell
from budflow.graph.plan import Plan
from budflow.model import event as e
from budflow.model.execution import TERMINAL, Execution
from tests.execution.oracle import Values, expect
from tests.execution.simulated_loop import simulate
from tests.execution.simulated_world import Faults, World, random_document

SCHEDULES = 350
FAULTS = {
    "misbehaving outside": Faults(http=0.3),
    "cancelled at any moment": Faults(http=0.2, cancel=1),
    "a store that fails": Faults(http=0.1, store=0.08, cancel=0.2),
    "a server that stops": Faults(http=0.2, stop=1, cancel=0.2),
    "everything at once": Faults(http=0.2, store=0.04, cancel=0.5, stop=0.3),
}


def check_journal(world: World, row: Execution, events: list[e.Event], plan: Plan) -> None:
    """What holds for every journal, whatever went wrong."""
    ends = [event for event in events if isinstance(event, e.Finished)]
    assert (row.status in TERMINAL) == bool(ends), "the row and its journal disagree on whether it has ended"
    started = Counter(event.node for event in events if isinstance(event, e.NodeStarted))
    closed = Counter(x.node for x in events if isinstance(x, e.NodeFinished | e.NodeFailed | e.NodeCancelled))
    assert all(count == 1 for count in (started | closed).values()), "a node ran twice"
    if ends:
        assert events[-1] is ends[0], "something was journaled after the end"
        assert row.status == ends[0].status
        assert started.keys() <= closed.keys(), "a node that had started has no end"
        state = fold(plan, events)
        assert (state.phase, state.outcome) == ("ended", row.status)
        if any(isinstance(event, e.Started) for event in events):
            assert not fold(plan, events[:-1]).running, "the execution ended while a node ran"
        assert all(node.status not in ("pending", "running") for node in tell(plan, events).nodes)
    elif row.status == "running":
        assert world.store.failed or world.faults.stop, "an execution was left unfinished although nothing failed"


async def check_world(world: World) -> None:
    for row in world.store.executions():
        events = world.store.journal(row.id)
        _, plan = await world.plans.get("default", row.workflow_id, 1)
        check_journal(world, row, events, plan)
    assert not world.outside.unannounced, "an effect happened before its start was durable"
    assert not world.supervisor._held, "the supervisor still holds an execution"


async def live(world: World, size: int) -> None:
    """Several executions of one random workflow, cancelled and stopped as the faults have it."""
    await world.save("callee", random_document(world.random, size // 2, calls=False))
    await world.save("caller", random_document(world.random, size, calls=True))
    await world.supervisor.start()
    async with asyncio.timeout(1_000), asyncio.TaskGroup() as group:
        begun = [
            group.create_task(
                world.submit([{"n": world.random.randrange(5)} for _ in range(world.random.randrange(4))])
            )
            for _ in range(3)
        ]
        for task in begun:
            group.create_task(disturb(world, task))
        if world.random.random() < world.faults.stop:
            await asyncio.sleep(world.random.choice([0, 0.01, 0.3, 2]))
            await world.supervisor.stop(world.random.choice([0, 1]))
    while (held := list(world.supervisor._held.values())) or any(
        row.status == "queued" and not world.supervisor._stopping for row in world.store.executions()
    ):
        await asyncio.wait([one.ended for one in held] or [asyncio.create_task(asyncio.sleep(1))], timeout=600)
        for row in world.store.executions():  # What hangs without a time limit is cancelled in the end.
            if row.status == "running":
                await world.supervisor.cancel("default", row.id, "the test")
    await world.supervisor.stop(0)
    await asyncio.sleep(20)  # Longer than any timer of the engine: none may do anything any more.


async def disturb(world: World, begun: "asyncio.Task[str | None]") -> None:
    if world.random.random() >= world.faults.cancel:
        return
    await asyncio.sleep(world.random.choice([0, 0, 0.001, 0.01, 0.1, 1]))
    ids = [row.id for row in world.store.executions()] + list(world.supervisor._held)
    for execution_id in world.random.sample(ids, min(len(ids), 2)):
        await world.supervisor.cancel("default", execution_id, "somebody")
    await asyncio.wait([begun])


@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS.keys())
@pytest.mark.parametrize("part", range(5))
def test_whatever_goes_wrong_every_execution_ends_once_and_its_journal_is_whole(faults: Faults, part: int) -> None:
    for seed in range(part * SCHEDULES // 5, (part + 1) * SCHEDULES // 5):
        world = World(seed, faults)

        async def main(world: World = world, seed: int = seed) -> None:
            await live(world, 2 + seed % 14)
            await check_world(world)

        try:
            simulate(main())
        except BaseException as error:
            error.add_note(f"seed {seed} with {faults}")
            raise


@pytest.mark.parametrize("part", range(5))
def test_without_faults_the_result_is_what_the_definition_says(part: int) -> None:
    ended: Counter[str] = Counter()
    for seed in range(part * SCHEDULES // 5, (part + 1) * SCHEDULES // 5):
        world = World(seed, Faults())

        async def main(world: World = world, seed: int = seed) -> None:
            ended[await compare_with_oracle(world, 2 + seed % 14)] += 1

        try:
            simulate(main())
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
    assert min(ended.values()) > SCHEDULES // 5 // 20, f"hardly any variety: {ended}"


async def compare_with_oracle(world: World, size: int) -> str:
    callee = random_document(world.random, size // 2, calls=False)
    caller = random_document(world.random, size, calls=True)
    for document in (callee, caller):
        document["settings"] = {}
    await world.save("callee", callee)
    await world.save("caller", caller)
    given = [world.random.randrange(5) for _ in range(world.random.randrange(1, 4))]
    expected = expect(caller, given, lambda values: result_of(callee, values))

    await world.supervisor.start()
    await asyncio.sleep(0.5)
    execution_id = await world.submit([{"n": n} for n in given])
    assert execution_id is not None
    held = world.supervisor.active(execution_id)
    if held is not None:
        await held.ended
    await world.supervisor.stop(0)
    await check_world(world)

    events = world.store.journal(execution_id)
    end = events[-1]
    assert isinstance(end, e.Finished)
    outputs = {x.node: values_of(x) for x in events if isinstance(x, e.NodeFinished)}
    if expected.stopped_by:
        assert end.status == "failed"
        assert end.failure is not None
        assert end.failure.node in expected.stopped_by
        # What ran before the stop gave what it had to.
        assert all(nonempty(expected.outputs[key]) == nonempty(ports) for key, ports in outputs.items())
    else:
        assert end.status == "succeeded", end.failure
        assert {key: nonempty(ports) for key, ports in outputs.items()} == {
            key: nonempty(ports) for key, ports in expected.outputs.items()
        }
    return end.status


def result_of(document: dict[str, Any], given: Values) -> Values | None:
    """What the last node that leads nowhere and has items gives; None where the workflow fails."""
    expected = expect(document, given)
    if expected.stopped_by:
        return None
    leading = {edge["from"].split(".")[0] for edge in document["edges"]}
    for key in reversed([key for key in document["nodes"] if key not in leading]):
        for values in expected.outputs.get(key, {}).values():
            if values:
                return values
    return []


def values_of(event: e.NodeFinished) -> dict[str, Values]:
    return {port: [item.json.get("n") for item in items.items] for port, items in event.outputs.items()}


def nonempty(ports: dict[str, Values]) -> dict[str, Values]:
    return {port: values for port, values in ports.items() if values}
