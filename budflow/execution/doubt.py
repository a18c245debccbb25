"""Items of which nobody knows whether their effect happened, since a runner died over them: what becomes of those."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime

from budflow.execution.node_work import NodeWork, in_doubt_failure
from budflow.execution.open_node import OpenNode, Recorded
from budflow.execution.ports import Work
from budflow.execution.state import At
from budflow.model import event as e
from budflow.model.path import path_of

#: What a person may decide: do it again (with the same idempotency key), let it fail, or take it as done.
DECISIONS = ("run", "fail", "skip")


class Doubt:
    """Settles doubts as the workflow's `on_crash` says.

    `tasks` are those that wait for a person; `rests` is told of each, since nothing else may compute.
    """

    def __init__(
        self,
        work: Work,
        node_work: NodeWork,
        open_nodes: Mapping[At, OpenNode],
        emit: Callable[[e.Event], None],
        now: Callable[[], datetime],
        rests: Callable[[], None],
    ) -> None:
        self._on_crash = work.plan.settings.on_crash
        self._plan, self._node_work, self._emit, self._now = work.plan, node_work, emit, now
        self._open, self._rests = open_nodes, rests
        self.tasks: set[asyncio.Task[None]] = set()

    def asks(self, at: At) -> bool:
        """Whether a person is asked about this node."""
        opened = self._open.get(at)
        return opened is not None and opened.recorded is not None and opened.recorded.pending

    def decide(self, event: e.WaitEnded) -> bool:
        """Take a person's answer; False where it is no answer to a doubt."""
        at = At(self._plan.index[event.node], event.rounds)
        recorded = self._open[at].recorded if self.asks(at) else None
        if recorded is None or event.wait != recorded.asked - 1:
            return False
        self._emit(event)
        recorded.decided.append((recorded.begun, str(event.answer)))
        decided = self._open[at].decided
        if decided is not None:  # Else it was asked by another runner, and its node has not had its first turn here.
            decided.set_result(None)
        return True

    async def settle(self, opened: OpenNode) -> None:
        """Return once it is clear what becomes of each item that is in doubt."""
        doubtful = self._node_work.in_doubt(opened)
        recorded = opened.recorded
        if not doubtful or recorded is None:
            return
        fixed = {"resume": "run", "fail": "fail"}.get(self._on_crash)
        undecided = sum(_decision(recorded, ordinal) is None for ordinal in doubtful)
        if fixed is None and (recorded.pending or undecided):
            await self._ask(opened, recorded, undecided)
        refused: list[int] = []
        for ordinal in doubtful:
            decision = fixed or _decision(recorded, ordinal)
            if decision == "skip":
                recorded.done[ordinal] = [*opened.items[ordinal : ordinal + 1]]
            elif decision != "run":
                refused.append(ordinal)
        if refused:
            opened.refused = {**opened.refused, **dict.fromkeys(refused, in_doubt_failure(opened, refused))}

    async def _ask(self, opened: OpenNode, recorded: Recorded, items: int) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - coroutines of a run are run by its tasks
        opened.decided = asyncio.get_running_loop().create_future()
        self.tasks.add(task)
        try:
            if not recorded.pending:
                path = path_of(opened.node.key, opened.at.rounds)
                text = f"A server died while `{path}` worked on {items} of its items. Shall they be worked on again?"
                ask = {"text": text, "decisions": list(DECISIONS), "items": items}
                event = e.WaitStarted(self._now(), opened.node.key, recorded.asked, "ask", None, ask, opened.at.rounds)
                recorded.asked += 1
                self._emit(event)
            self._rests()
            await opened.decided
        finally:
            self.tasks.discard(task)
            opened.decided = None


def _decision(recorded: Recorded, ordinal: int) -> str | None:
    """What a person decided about an item; nobody was asked about those that were begun only later."""
    return next((answer for begun, answer in recorded.decided if ordinal < begun), None)
