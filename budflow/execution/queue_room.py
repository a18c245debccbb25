"""Whether the queue has room for one more, without counting it each time: the longer it is, the longer that takes."""

import asyncio

from budflow.execution.ports import ExecutionStore
from budflow.model.execution import QueueFull

#: For how long a count is good, at most.
COUNTED_SECONDS = 0.5


class QueueRoom:
    """What one process knows of the length of the queue: the last count, and what it has added since.

    It counts again when it alone has filled half of what was left. Others add to the queue as well, so it may become
    longer than `queued_max` by what they add within COUNTED_SECONDS.
    """

    def __init__(self, store: ExecutionStore, queued_max: int) -> None:
        self._store, self._queued_max = store, queued_max
        self._left = self._added = 0
        self._counted_at = 0.0
        self._counting = asyncio.Lock()

    async def take(self) -> None:
        """One more is about to be queued. Raises QueueFull."""
        if self._is_due():
            async with self._counting:  # For a burst one counts, and the others need not.
                if self._is_due():
                    await self._count()
        self._added += 1

    def _is_due(self) -> bool:
        old = asyncio.get_running_loop().time() - self._counted_at >= COUNTED_SECONDS
        return old or 2 * self._added >= self._left

    async def _count(self) -> None:
        now = asyncio.get_running_loop().time()
        self._left, self._added = self._queued_max - await self._store.count_queued(), 0
        self._counted_at = now
        if self._left <= 0:
            raise QueueFull
