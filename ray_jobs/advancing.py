"""An execution that a task of the owner's event loop advances: what both executors over Ray make a Running of."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from budflow.execution.ports import RunLetGo


class Advancing:
    """The part of Running that waits for the task, and stops it."""

    def __init__(self, advance: Coroutine[Any, Any, None]) -> None:
        """`advance` appends what happens, and raises what `wait` is to raise. The loop begins it at its next turn."""
        self._gone = False
        self.task = asyncio.get_running_loop().create_task(advance)
        # Whoever waits gets what broke it; nobody need wait.
        self.task.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def wait(self) -> None:
        """See Running. Raises what advancing it raises."""
        try:
            await self.task
        except asyncio.CancelledError:
            if self._gone:
                raise RunLetGo from None
            raise

    def let_go(self) -> None:
        """See Running."""
        self._gone = True
        self.task.cancel()
