"""Which of the executions that one calls stay with its runner, and which are left to any of several runners."""

from collections import OrderedDict
from collections.abc import Callable

from budflow.execution.held import Held
from budflow.execution.ports import ChildCall
from budflow.execution.wakes import Wakes

#: So many open calls of one execution are begun by its own runner, at once; a single call never waits for the queue.
HERE_MAX = 8
#: Executions that take less stay, however many: until another runner has one of them it takes about as long.
QUICK_SECONDS = 0.020
#: How much the newest of the executions of a workflow counts.
FRESH = 0.3
WORKFLOWS_MAX = 1_000


class Spread:
    """Decides by how many runners there are, for how many more there is room here, and how long such a call took."""

    def __init__(self, runners: Callable[[], int], room: Callable[[], int], wakes: Wakes) -> None:
        self._runners, self._room, self._wakes = runners, room, wakes
        self._seconds: OrderedDict[str, float] = OrderedDict()  # By the called workflow.

    def stays(self, caller: Held, call: ChildCall) -> bool:
        """Whether the call is begun here. One that nobody waits for is in no hurry."""
        if self._runners() <= 1 or self._seconds.get(call.workflow_id, QUICK_SECONDS) < QUICK_SECONDS:
            return True
        return call.awaited and self._room() > 0 and len(caller.calls) < HERE_MAX

    def queued(self) -> None:
        """A call is left to any runner, and that is durable."""
        self._wakes.tell("queue")

    def note_end(self, child: Held) -> None:
        """A called execution has ended here."""
        execution, finished = child.execution, child.finished
        if execution.mode != "child" or finished is None or execution.started_at is None:
            return
        spent = (finished.at - execution.started_at).total_seconds()
        before = self._seconds.get(execution.workflow_id, spent)
        self._seconds[execution.workflow_id] = before + FRESH * (spent - before)
        self._seconds.move_to_end(execution.workflow_id)
        if len(self._seconds) > WORKFLOWS_MAX:
            self._seconds.popitem(last=False)
