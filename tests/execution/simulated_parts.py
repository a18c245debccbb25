"""Partial runs and test runs in simulated worlds: only what was asked for runs, and nothing that is pinned does."""

from collections.abc import Iterator, Mapping
from typing import Any

from budflow.model import event as e
from tests.execution.simulated_checks import check_outputs, check_world
from tests.execution.simulated_documents import WATCHER, Wanted, random_document
from tests.execution.simulated_life import live, use
from tests.execution.simulated_server import Faults
from tests.execution.simulated_world import Asked, World

CLASSES = (
    "until",
    "until a node in a body",
    "pinned",
    "pins that are not used",
    "both",
    "a pinned node came to its turn",
)


async def run_parts(seed: int, faults: Faults) -> set[str]:
    """Executions up to a node, and with pinned data."""
    world = World(seed, faults)
    racing = seed % 3 == 0
    documents = {
        "callee": random_document(world.random, 1 + seed % 5, Wanted(calls=False, racing=racing)),
        "caller": random_document(world.random, 3 + seed % 14, Wanted(racing=racing, pinned=True)),
        "watcher": WATCHER,
    }
    depths = dict(_depths(documents["caller"]))
    pins = {key for key, (_, node) in depths.items() if node.get("pinned") is not None}
    asked = [_ask(world, sorted(depths)) for _ in range(world.random.choice([1, 2, 3]))]
    await live(world, documents, [use(world, one) for one in asked])
    await check_world(world)
    if not racing and not (faults.http or faults.cancel):
        await check_outputs(world, documents)
    seen: set[str] = set()
    for one in asked:
        seen |= {"until"} if one.until is not None and not depths[one.until][0] else set()
        seen |= {"until a node in a body"} if one.until is not None and depths[one.until][0] else set()
        seen |= {"pinned" if one.pinned else "pins that are not used"} if pins else set()
        seen |= {"both"} if one.pinned and pins and one.until is not None else set()
    for row in await world.store.rows():
        events = await world.journal(row.id)
        admitted = events[0]
        assert isinstance(admitted, e.Admitted)
        if admitted.pinned:
            assert not {(row.id, key) for key in pins} & world.outside.asked, "a pinned node did something outside"
            ran = {event.node for event in events if isinstance(event, e.NodeFinished)}
            seen |= {"a pinned node came to its turn"} if pins & ran else set()
    await world.close()
    return seen


def _ask(world: World, keys: list[str]) -> Asked:
    random = world.random
    return Asked(
        until=random.choice(keys) if random.random() < 0.6 else None,
        pinned=random.random() < 0.6,
    )


def _depths(graph: Mapping[str, Any], depth: int = 0) -> Iterator[tuple[str, tuple[int, Mapping[str, Any]]]]:
    """Every node with how many bodies it is in."""
    for key, node in graph["nodes"].items():
        yield key, (depth, node)
        for body in node.get("bodies", {}).values():
            yield from _depths(body, depth + 1)
