"""Creating a container, so that who gives up waiting leaves none behind."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from budflow.sandbox.docker.engine import Engine

#: Runs a blocking call in a thread.
InThread = Callable[..., Awaitable[Any]]


async def created(engine: Engine, config: Mapping[str, Any], in_thread: InThread = asyncio.to_thread) -> str:
    """The id of the new container. Raises SandboxUnavailable; cancelled, it removes what the engine still creates."""
    creating = asyncio.ensure_future(in_thread(engine.create, config))
    try:
        return str(await asyncio.shield(creating))
    except asyncio.CancelledError:
        await in_thread(engine.remove, await creating)
        raise
