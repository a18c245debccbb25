"""An execution that this owner is having advanced, as the link of its run: journal, those who wait, and its calls."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from budflow.errors import BudflowError
from budflow.execution.active import Active
from budflow.execution.journal import Journal
from budflow.execution.ports import ChildCall, Running
from budflow.graph.plan import Plan
from budflow.model import event as e
from budflow.model.execution import Execution

Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]


class Calls(Protocol):
    """Who starts and cancels what an execution calls."""

    def call(self, parent: "Held", call: ChildCall) -> None: ...

    def cancel(self, parent: "Held", node: str, number: int) -> None: ...


class Held(Active):
    """Meets Link. `running` is set once its run was started, and `task` sees it through to its end."""

    __slots__ = ("_calls", "_spawn", "cancelled_calls", "children", "journal", "running", "task")

    def __init__(self, execution: Execution, plan: Plan, calls: Calls, spawn: Spawn) -> None:
        super().__init__(execution, plan)
        self._calls, self._spawn = calls, spawn
        self.journal: Journal
        self.running: Running | None = None
        self.task: asyncio.Task[None] | None = None
        #: What it called and has not ended, and what of it is to be cancelled, by node and number of the call.
        self.children: dict[tuple[str, int], Held] = {}
        self.cancelled_calls: set[tuple[str, int]] = set()

    def append(self, *events: e.Event) -> None:
        """See Link."""
        self.journal.append(*events)
        for event in events:
            self.observe(event)
            if isinstance(event, e.Responded) and not self.answered.done():
                self._spawn(self._announce_answer())

    async def commit(self) -> None:
        """See Link."""
        await self.journal.commit()

    def flush(self) -> None:
        """See Link."""
        self.journal.flush()

    def call(self, call: ChildCall) -> None:
        """See Link."""
        self._calls.call(self, call)

    def cancel_call(self, node: str, call: int) -> None:
        """See Link."""
        self._calls.cancel(self, node, call)

    def deliver(self, event: e.Event) -> None:
        """Hand an event to the run; one that is over ignores it."""
        if self.running is not None:
            self.running.deliver(event)

    def stop_waiting(self) -> None:
        """Let the run go, since its journal broke: what it does from now on could never be written."""
        if self.task is not None and self.task is not asyncio.current_task():
            self.task.cancel()

    def settle(self, broken: BudflowError | None) -> None:
        """Tell those who wait: the end is durable, or will not come from this process because of `broken`."""
        for future in (self.answered, self.ended):
            if future.done():
                continue
            if broken is None:
                future.set_result(None)
            else:
                future.set_exception(broken)
                future.exception()  # Whoever waits gets it; nobody need wait.

    async def _announce_answer(self) -> None:
        try:
            await self.journal.commit()
        except Exception:  # noqa: BLE001 - the worker's loop
            return  # Whoever sees the run through meets it too, and tells those who wait.
        if not self.answered.done():
            self.answered.set_result(None)
