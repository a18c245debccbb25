"""How a simulated world goes on: its workflows are used while its servers have trouble, until all is quiet."""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

from budflow.model.item import Json
from tests.execution.simulated_world import PLAINLY, Asked, World


async def live(world: World, documents: Mapping[str, Any], uses: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Save the workflows, start a server, and let the uses and the faults of the world happen, until all has ended."""
    for name, document in documents.items():
        await world.save(name, document)
    await world.new_server()
    await go_on(world, uses)


async def go_on(world: World, uses: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Let more uses, and the faults once more, happen."""
    people = asyncio.create_task(world.people())
    async with asyncio.TaskGroup() as group:
        group.create_task(world.trouble())
        for one in uses:
            group.create_task(one)
    await world.quiet()
    people.cancel()
    await asyncio.wait([people])


async def use(world: World, asked: Asked = PLAINLY) -> None:
    """Submit an execution, and perhaps have it cancelled, or one that it called."""
    await asyncio.sleep(world.random.choice([0, 0, 0.1, 1]))
    await world.submit(some_items(world), asked)
    if world.random.random() < world.faults.cancel:
        await asyncio.sleep(world.random.choice([0, 0, 0.001, 0.01, 0.1, 1, 5]))
        ids = [row.id for row in await world.store.rows()]
        for execution_id in world.random.sample(ids, min(len(ids), 2)):
            await world.cancel(execution_id)


def some_items(world: World) -> list[Json]:
    """What a trigger brings in: up to three items with a small number each."""
    return [{"n": world.random.randrange(5)} for _ in range(world.random.choice([0, 1, 1, 2, 3]))]
