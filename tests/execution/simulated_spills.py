"""Lists that leave memory in simulated worlds: the items are what they would be in memory, whatever dies meanwhile."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import pytest

from budflow.execution import list_work, node_result, node_run, spill
from budflow.model import event as e, spilled
from budflow.model.event_lists import blobs_of, lists_of
from budflow.model.spilled import Spilled
from tests.execution import simulated_loop
from tests.execution.simulated_checks import check_outputs, check_world
from tests.execution.simulated_documents import WATCHER, Wanted, random_document
from tests.execution.simulated_life import live, use
from tests.execution.simulated_server import Faults
from tests.execution.simulated_world import World

CLASSES = (
    "a list in blobs",
    "of a node with an effect",
    "of a body's node",
    "of a called one",
    "entered a called one",
    "several parts",
    "an orphan",
    "a full disk",
    "one item is much",
)


async def spill_lists(seed: int, faults: Faults) -> set[str]:
    """Workflows in which a few items are too many for memory."""
    world = World(seed, faults)
    racing = seed % 2 == 0
    much = 1 + seed % 3
    # What fails with more items than memory takes ends the execution, whatever its `on_error` says.
    wanted = Wanted(racing=racing, whole=racing)
    documents = {
        "callee": random_document(world.random, 1 + seed % 7, replace(wanted, calls=False)),
        "caller": random_document(world.random, 3 + seed % 12, wanted),
        "watcher": WATCHER,
    }
    if racing and world.random.random() < 0.5:
        world.blobs.faulty = 0.1
    world.blobs.deadly = seed % 4 != 0
    with little_memory(much):
        await live(world, documents, [use(world) for _ in range(world.random.choice([1, 2, 3]))])
        await check_world(world)
        if not racing and not (faults.http or faults.cancel):
            await check_outputs(world, documents)
        seen = await check_blobs(world)
        await world.close()
    return seen | ({"one item is much"} if much == 1 else set())


@contextmanager
def little_memory(much: int) -> Iterator[None]:
    """So many items are too many for memory, and time has no say in how they are cut."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spill, "ITEMS_MAX", much)
        patch.setattr(node_result, "ITEMS_MAX", much)
        patch.setattr(spilled, "SLICE_ITEMS_MAX", much)
        patch.setattr(list_work, "FIRST_BATCH_ITEMS", much)
        patch.setattr(list_work, "BATCH_ITEMS_MAX", much)
        patch.setattr(node_run, "ITEMS_AT_ONCE", 2)
        patch.setattr(simulated_loop, "THREAD_SECONDS", 0.05)  # Long enough to die over it.
        patch.setattr(list_work, "time", SimpleNamespace(perf_counter=lambda: 0.0))
        yield


async def check_blobs(world: World) -> set[str]:
    """Every list that a journal refers to is there, and known to the store; what was seen of the classes."""
    seen: set[str] = set()
    used: set[str] = set()
    for row in await world.store.rows():
        _, plan = await world.plans.get("default", row.workflow_id, 1)
        events = await world.journal(row.id)
        effects = {event.node for event in events if isinstance(event, e.NodeStarted) and event.params is None}
        for event in events:
            used |= (found := {blob.sha256 for blob in blobs_of(event)})
            known = await world.store.known_blobs({("default", sha256) for sha256 in found})
            assert {sha256 for _, sha256 in known} == found, f"{event} has blobs that may be collected"
            for items in lists_of(event):
                if isinstance(items.items, Spilled):
                    assert [*items.items] == [items.items[index] for index in range(len(items.items))]
                    seen |= {"several parts"} if len(items.items.parts) > 1 else set()
            if not found:
                continue
            seen.add("a list in blobs")
            if isinstance(event, e.ChildFinished):
                seen.add("of a called one")
            if isinstance(event, e.Admitted):
                seen.add("entered a called one")
            if isinstance(event, e.NodeFinished):
                seen |= {"of a node with an effect"} if event.node in effects else set()
                seen |= {"of a body's node"} if plan.nodes[plan.index[event.node]].graph else set()
        if row.failure is not None and row.failure.code == "blob.unwritable":
            seen.add("a full disk")
    if world.blobs.kept.keys() - {("default", sha256) for sha256 in used}:
        seen.add("an orphan")
    return seen
