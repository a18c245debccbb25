"""What is queued, running and waiting in this process's memory, and what passed through lately."""

from collections import Counter
from datetime import datetime
from typing import cast

from budflow.execution.figures import StoreFigures
from budflow.model.execution import EndStatus, Status
from budflow.services.cluster_ports import Passed, QueueFigures
from budflow.storage.memory.tables import Tables

LIVE: tuple[Status, ...] = ("queued", "running", "waiting")


class MemoryFigures:
    """Meets ClusterStore: counted one by one."""

    schema: str | None = None

    def __init__(self, tables: Tables) -> None:
        self._executions = tables.executions
        self.figures = StoreFigures()

    async def ping(self) -> None:
        """Nothing takes no time."""

    async def queue_figures(self) -> QueueFigures:
        executions = self._executions.values()
        status = Counter(one.status for one in executions)
        queued = [one for one in executions if one.status == "queued"]
        priorities = Counter(one.priority for one in queued)
        reasons = Counter(one.waiting for one in executions if one.status == "waiting" and one.waiting is not None)
        return QueueFigures(
            {one: status[one] for one in LIVE},
            dict(sorted(priorities.items())),
            dict(sorted(reasons.items())),
            min((one.created_at for one in queued), default=None),
        )

    async def count_passed(self, since: datetime) -> Passed:
        executions = self._executions.values()
        ended = Counter(one.status for one in executions if one.finished_at is not None and one.finished_at >= since)
        return Passed(
            sum(one.created_at >= since for one in executions),
            {cast("EndStatus", status): count for status, count in sorted(ended.items())},
        )
