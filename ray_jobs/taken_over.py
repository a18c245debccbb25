"""What was taken over from another runner: before it is computed again, that one is told to give it up."""

from collections import OrderedDict

from budflow.model.execution import Execution
from ray_jobs.tasks import cleanup_execution_task

#: Of so many it is known that it was told.
KNOWN_MAX = 1_000


class TakenOver:
    """Has it told once for each claim, and waits for nothing: see `cleanup_execution_task`."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, int] = OrderedDict()  # The token of the claim, by execution.

    def begin(self, execution: Execution) -> None:
        """A heavy segment of it is about to begin here."""
        if not execution.takeovers or self._known.get(execution.id) == execution.token:
            return
        self._known[execution.id] = execution.token
        self._known.move_to_end(execution.id)
        if len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)
        cleanup_execution_task.options(name=f"{execution.id}/clean up").remote(execution.id, execution.token)
