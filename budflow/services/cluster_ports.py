"""What is asked of the store to show how an installation is doing: all of it cheap, however many executions ended."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from budflow.execution.figures import StoreFigures
from budflow.model.execution import EndStatus, Status, WaitReason


@dataclass(frozen=True, slots=True)
class QueueFigures:
    """The executions of every project that have not ended: by status, the queued by priority, the waiting by reason.

    `oldest_queued_at` is when the oldest of the queued was admitted.
    """

    by_status: Mapping[Status, int]
    by_priority: Mapping[int, int] = field(default_factory=dict)
    by_reason: Mapping[WaitReason, int] = field(default_factory=dict)
    oldest_queued_at: datetime | None = None

    def oldest_seconds(self, now: datetime) -> float | None:
        """The age of the oldest of the queued; None where there are none."""
        return None if self.oldest_queued_at is None else max(0.0, (now - self.oldest_queued_at).total_seconds())


@dataclass(frozen=True, slots=True)
class Passed:
    """How many executions came in since some time, and how many ended, by status."""

    admitted: int
    ended: Mapping[EndStatus, int]


class ClusterStore(Protocol):
    """Figures of all processes that share the database."""

    @property
    def figures(self) -> StoreFigures:
        """What this process did with the store."""
        ...

    @property
    def schema(self) -> str | None:
        """The revision of the tables; None where there are none."""
        ...

    async def ping(self) -> None:
        """Ask the database for nothing, so that the time it takes can be seen. Raises StorageUnavailable."""
        ...

    async def queue_figures(self) -> QueueFigures:
        """Costs as much as there is queued, running and waiting."""
        ...

    async def count_passed(self, since: datetime) -> Passed:
        """Costs as much as there was since then, and a step for each workflow with an ended execution."""
        ...
