"""Limits, their policies and priorities in simulated worlds: never too many at once, and nothing waits for ever."""

from collections.abc import Mapping
from typing import Any

from budflow.model import event as e
from tests.execution.simulated_checks import check_outputs, check_world
from tests.execution.simulated_documents import WATCHER, Wanted, random_document
from tests.execution.simulated_life import live, use
from tests.execution.simulated_server import Faults
from tests.execution.simulated_world import Asked, World

CLASSES = (
    "queue",
    "drop",
    "cancel_oldest",
    "by key",
    "limited callee",
    "limited watcher",
    "dropped",
    "displaced",
    "displaced at work",
    "several priorities",
    "waited for room",
)


async def limit(seed: int, faults: Faults) -> set[str]:
    """More executions than their workflows let run at once."""
    world = World(seed, faults)
    racing = seed % 2 == 0
    documents = {
        "callee": random_document(world.random, 1 + seed % 4, Wanted(calls=False, racing=racing)),
        "caller": random_document(world.random, 2 + seed % 9, Wanted(racing=racing)),
        "watcher": {**WATCHER, "settings": {}},
    }
    seen = {kind for name, document in documents.items() for kind in _limit(world, name, document["settings"])}
    priorities = world.random.choice([(0,), (0, 50, 100)])
    world.patience_seconds = 2_500  # What sleeps long in a loop lets the others wait.
    await live(
        world,
        documents,
        [use(world, Asked(priority=world.random.choice(priorities))) for _ in range(4 + seed % 5)],
    )
    await check_world(world)
    await check_cancelled(world)
    if not racing and not (faults.http or faults.cancel or world.store.displaced):
        await check_outputs(world, documents)
    seen |= await _seen(world)
    await world.close()
    return seen


def _limit(world: World, name: str, settings: dict[str, Any]) -> set[str]:
    """Settings with a limit, or without; which classes that is."""
    random = world.random
    if random.random() < (0.1 if name == "caller" else 0.6):
        return set()
    policy = random.choice(["queue", "drop", "cancel_oldest"])
    settings["max_concurrency"] = random.choice([1, 1, 2, 3])
    settings["concurrency_policy"] = policy
    if name == "caller" and random.random() < 0.4:
        settings["concurrency_key"] = "{{ $json?.n }}"
        return {policy, "by key"}
    return {policy} if name == "caller" else {f"limited {name}"}


async def check_cancelled(world: World) -> None:
    """Nothing is cancelled but what somebody wanted cancelled, what had to make room, and what those had called."""
    rows = {row.id: row for row in await world.store.rows()}
    for row in rows.values():
        if row.status != "cancelled" or row.id in world.cancelled | world.store.displaced:
            continue
        assert row.parent is not None, f"{row} is cancelled for no reason"
        above = rows[row.parent.execution_id]
        called = await world.journal(above.id)
        stopped = any(
            isinstance(one, e.NodeFailed | e.NodeCancelled | e.CancelRequested | e.TimeIsUp)
            or (isinstance(one, e.ChildFinished) and one.status != "succeeded")
            for one in called
        )
        assert stopped or above.status != "succeeded", f"{row} is cancelled, and {above} is not"


async def _seen(world: World) -> set[str]:
    seen: set[str] = set()
    rows = {row.id: row for row in await world.store.rows()}
    if world.dropped:
        seen.add("dropped")
    for id_ in world.store.displaced:
        seen.add("displaced" if rows[id_].started_at is None else "displaced at work")
    if len({row.priority for row in rows.values()}) > 1:
        seen.add("several priorities")
    limited: Mapping[str, Any] = {row.id: row for row in rows.values() if row.limit is not None and row.started_at}
    for row in limited.values():
        others = [one for one in limited.values() if one.limit.key == row.limit.key and one.id != row.id]
        if any(one.started_at < row.started_at and one.finished_at > row.created_at for one in others):
            seen.add("waited for room")
    return seen
