"""What a runner hears from other processes: there is something in the queue, or for an execution that it has."""

import asyncio
from collections.abc import Callable
from random import Random

from budflow.execution.holding import Holding
from budflow.execution.intake import Intake
from budflow.execution.wakes import Wakes

#: Runners that hear of the same execution look one after the other: so much later for each that there is.
SPREAD_SECONDS = 0.002
SPREAD_SECONDS_MAX = 0.1


class Hearing:
    """Has the intake of one runner look earlier than it would by itself. Never the cause of anything else.

    Whoever has more room looks earlier, so that what was queued goes there, and the others mostly find nothing left.
    """

    def __init__(self, wakes: Wakes, intake: Intake, holding: Holding, *, runner: str) -> None:
        self._wakes, self._intake, self._holding = wakes, intake, holding
        self._random = Random(runner)  # noqa: S311 - spreads looks, guards nothing
        self._ends: list[Callable[[], None]] = []
        self._soon: asyncio.TimerHandle | None = None
        self._heard: set[str] = set()  # What was queued since the last look; "" where nobody said which.

    def begin(self) -> None:
        """Listen from now on."""
        listen = self._wakes.listen
        self._ends = [listen("queue", self._hear_of_queue), listen("signals", self._hear_of_signal)]

    def end(self) -> None:
        """Listen no more."""
        for end in self._ends:
            end()
        if self._soon is not None:
            self._soon.cancel()

    def _hear_of_queue(self, execution_id: str) -> None:
        self._heard.add(execution_id)
        if self._soon is None:
            self._soon = asyncio.get_running_loop().call_later(self._turn(), self._look)

    def _turn(self) -> float:
        """Seconds until it is this runner's turn to look. Who told looks by itself, so with one more there is none."""
        intake = self._intake
        spread = min(SPREAD_SECONDS_MAX, SPREAD_SECONDS * max(0, intake.runners - 2))
        busy = 1 - max(0, intake.room) / max(1, intake.running_max)
        return spread * (busy + self._random.random()) / 2

    def _look(self) -> None:
        self._soon = None
        heard, self._heard = self._heard, set()
        if len(heard) == 1 and (execution_id := heard.pop()):
            self._intake.look_for(execution_id)
        else:
            self._intake.look()

    def _hear_of_signal(self, execution_id: str) -> None:
        if not execution_id or execution_id in self._holding.held:
            self._intake.listen()
