"""The whole engine under simulation: real nodes, runs, journals and supervisors; everything around them fails."""

import asyncio
import os
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from budflow.errors import BudflowError
from budflow.execution.held import Held
from budflow.execution.journal import Journal
from budflow.execution.records import JournalWrite
from budflow.model.execution import TERMINAL
from budflow.storage.memory.store import MemoryStore
from tests.execution.simulated_checks import check_outputs, check_world
from tests.execution.simulated_documents import WATCHER, Wanted, random_document
from tests.execution.simulated_loop import simulate
from tests.execution.simulated_server import Faults
from tests.execution.simulated_store import SharedStore
from tests.execution.simulated_world import World

#: By default a run takes less than a minute; BUDFLOW_SIMULATION_SCHEDULES asks for more schedules of every kind.
SCHEDULES = int(os.environ.get("BUDFLOW_SIMULATION_SCHEDULES", "100"))
FIRST_SEED = int(os.environ.get("BUDFLOW_SIMULATION_SEED", "0"))
FAULTS = {
    "misbehaving outside": Faults(http=0.3, pause=0.2),
    "cancelled at any moment": Faults(http=0.2, cancel=1),
    "a store that fails": Faults(http=0.1, store=0.08, cancel=0.2, pause=0.1),
    "servers that die": Faults(http=0.1, deaths=4, cancel=0.2),
    "servers that freeze": Faults(http=0.1, frozen=3, cancel=0.2),
    "everything at once": Faults(http=0.2, store=0.04, cancel=0.4, pause=0.2, deaths=2, frozen=1, stops=1),
}
CRASHES = {
    "no faults": Faults(),
    "a store that fails": Faults(store=0.05),
    "a server that dies": Faults(deaths=2),
    "a server that freezes": Faults(frozen=2),
    "a server that restarts": Faults(stops=2, deaths=1, pause=0.2),
}


async def live(world: World, documents: dict[str, Any]) -> None:
    """Several executions of one random workflow, with the faults of the world, until all have ended."""
    for name, document in documents.items():
        await world.save(name, document)
    await world.new_server()
    people = asyncio.create_task(world.people())
    async with asyncio.TaskGroup() as group:
        group.create_task(world.trouble())
        for _ in range(world.random.choice([1, 2, 3])):
            group.create_task(use(world))
    await world.quiet()
    people.cancel()
    await asyncio.wait([people])


async def use(world: World) -> None:
    """Submit an execution, and perhaps have it cancelled, or one that it called."""
    await asyncio.sleep(world.random.choice([0, 0, 0.1, 1]))
    given = [{"n": world.random.randrange(5)} for _ in range(world.random.choice([0, 1, 1, 2, 3]))]
    await world.submit(given)
    if world.random.random() < world.faults.cancel:
        await asyncio.sleep(world.random.choice([0, 0, 0.001, 0.01, 0.1, 1, 5]))
        ids = [row.id for row in await world.store.rows()]
        for execution_id in world.random.sample(ids, min(len(ids), 2)):
            await world.cancel(execution_id)


def schedules(part: int, parts: int) -> range:
    return range(FIRST_SEED + part * SCHEDULES // parts, FIRST_SEED + (part + 1) * SCHEDULES // parts)


def documents_of(world: World, seed: int, *, racing: bool) -> dict[str, Any]:
    """The workflow that is started, the one that it calls, and what follows a failure of either."""
    return {
        "callee": random_document(world.random, 1 + seed % 7, Wanted(calls=False, racing=racing)),
        "caller": random_document(world.random, 3 + seed % 16, Wanted(racing=racing)),
        "watcher": WATCHER,
    }


async def disturbed(seed: int, faults: Faults) -> None:
    """Anything may go wrong; what must hold then holds for any journal."""
    world = World(seed, faults)
    await live(world, documents_of(world, seed, racing=True))
    await check_world(world)
    await world.close()


async def crashed(seed: int, faults: Faults, ended: Counter[str]) -> None:
    """Only servers and their store fail, and of that nothing is to be seen in the end."""
    world = World(seed, faults)
    documents = documents_of(world, seed, racing=False)
    await live(world, documents)
    await check_world(world)
    ended.update(await check_outputs(world, documents))
    ended["refused"] += world.store.refused
    if faults == Faults():
        assert set(world.outside.received.values()) <= {1}, "an effect was repeated for no reason"
    await world.close()


@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS.keys())
@pytest.mark.parametrize("part", range(2))
def test_whatever_goes_wrong_every_execution_ends_once_and_its_journal_is_whole(faults: Faults, part: int) -> None:
    for seed in schedules(part, 2):
        try:
            simulate(disturbed(seed, faults))
        except BaseException as error:
            error.add_note(f"seed {seed} with {faults}")
            raise


@pytest.mark.parametrize("faults", CRASHES.values(), ids=CRASHES.keys())
@pytest.mark.parametrize("part", range(2))
def test_whatever_dies_the_result_is_what_the_definition_says(faults: Faults, part: int) -> None:
    ended: Counter[str] = Counter()
    for seed in schedules(part, 2):
        try:
            simulate(crashed(seed, faults, ended))
        except BaseException as error:
            error.add_note(f"seed {seed} with {faults}")
            raise
    assert min(ended["succeeded"], ended["failed"]) > SCHEDULES // 40, f"hardly any variety: {ended}"
    assert bool(ended["refused"]) == bool(faults.frozen), "only who was frozen writes late"


async def _append_unfenced(store: SharedStore, write: JournalWrite) -> None:
    """Whoever holds whatever claim writes behind what is there."""
    row = await store.get_execution("default", write.claim.execution_id)
    if row is not None and row.status not in TERMINAL:
        first = len(await store.read_events("default", row.id))
        events = tuple(replace(event, seq=first + i) for i, event in enumerate(write.events))
        write = replace(write, claim=replace(write.claim, token=row.token), events=events)
    await MemoryStore.append(store, write)


async def _commit_nothing(_: Held) -> None:
    """Whatever is to be durable now is said to be."""


MUTANTS: dict[str, tuple[type, str, Any, str]] = {
    "fencing is off": (SharedStore, "append", _append_unfenced, "servers that freeze"),
    "acknowledged before the commit": (Held, "commit", _commit_nothing, "servers that die"),
    "a signal is written without the end that sends it": (
        Journal,
        "send",
        lambda _journal, _signal: None,
        "misbehaving outside",
    ),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_the_simulation_notices(mutant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    where, name, changed, faults = MUTANTS[mutant]
    monkeypatch.setattr(where, name, changed)
    assert any(_fails(seed, FAULTS[faults]) for seed in range(SCHEDULES))


def _fails(seed: int, faults: Faults) -> bool:
    try:
        simulate(disturbed(seed, faults))
    except (AssertionError, BudflowError, ExceptionGroup):
        return True
    return False
