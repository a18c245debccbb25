"""What the broker counts for the status: tasks, failures by their code, starts and how long they took."""

from collections import Counter, deque
from dataclasses import dataclass, field
from statistics import median
from typing import Any

STARTS_REMEMBERED = 100


@dataclass(slots=True)
class Figures:
    """Since the daemon started."""

    tasks_done: int = 0
    failures: "Counter[str]" = field(default_factory=Counter)
    starts: int = 0
    starts_failed: int = 0
    ends: "Counter[str]" = field(default_factory=Counter)
    _start_seconds: "deque[float]" = field(default_factory=lambda: deque(maxlen=STARTS_REMEMBERED))

    def started(self, seconds: float) -> None:
        """A worker was started, and this is how long it took until it said hello."""
        self.starts += 1
        self._start_seconds.append(seconds)

    def to_json(self) -> dict[str, Any]:
        """For the status."""
        return {
            "tasks_done": self.tasks_done,
            "failures": dict(self.failures),
            "starts": self.starts,
            "starts_failed": self.starts_failed,
            "start_seconds_median": round(median(self._start_seconds), 3) if self._start_seconds else None,
            "ends": dict(self.ends),
        }
