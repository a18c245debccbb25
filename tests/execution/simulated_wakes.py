"""How simulated servers tell each other: late, twice, in any order, about nothing in particular, or not at all."""

import asyncio
from collections.abc import Callable
from contextvars import Context, copy_context
from random import Random

from budflow.execution.wakes import Topic

Listener = tuple[Topic, Callable[[str], None], Context]


class Airwaves:
    """Meets Wakes, for all servers of a world at once. Each listener is called as the process that it listens in."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._listeners: list[Listener] = []
        self.lost = self.late = self.doubled = 0

    def tell(self, topic: Topic, subject: str = "") -> None:
        """See Wakes."""
        loop, random = asyncio.get_running_loop(), self._random
        for listener in self._listeners:
            if listener[0] != topic:
                continue
            times = random.choice([0, 0, 1, 1, 1, 2])
            self.lost += times == 0
            self.doubled += times == 2
            for _ in range(times):
                seconds = random.choice([0, 0, 0.001, 0.02, 0.5, 5])
                self.late += seconds > 1
                said = subject if random.random() < 0.9 else ""
                loop.call_later(seconds, self._call, listener, said, context=listener[2])

    def listen(self, topic: Topic, heard: Callable[[str], None]) -> Callable[[], None]:
        """See Wakes."""
        listener = (topic, heard, copy_context())
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def _call(self, listener: Listener, subject: str) -> None:
        if listener in self._listeners:
            listener[1](subject)
