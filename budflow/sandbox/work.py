"""What the broker has done: a task without its items, who asked for it, and how it ended."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from budflow.model.item import Json
from budflow.model.sandbox import CodeMode, Isolation
from budflow.sandbox.messages import Log, Progress

#: What one task may give back and log; further lines are dropped. Of lines and progress together a worker that cuts
#: what code prints, as it must, never comes near the last two.
RESULT_BYTES_MAX = 128 * 1024 * 1024
RESULT_ITEMS_MAX = 1_000_000
LOG_LINES_MAX = 5_000
LOG_BYTES_MAX = 8 * 1024 * 1024
TOLD_MAX = 20_000
TOLD_A_SECOND = 50


@dataclass(frozen=True, slots=True)
class Work:
    """A task of a project. `id` is the broker's own; `first` are the first of `item_count` items, as JSON.

    It runs in `image`, or where that is "" in the one for its requirements.
    """

    id: str
    project: str
    name: str
    mode: CodeMode
    code: str
    now: str
    seed: str
    params: Mapping[str, Any] = field(default_factory=dict)
    item_count: int = 0
    first: Sequence[Json] = ()
    requirements: tuple[str, ...] = ()
    image: str = ""
    network: tuple[str, ...] = ()
    timeout_seconds: float = 60.0
    memory_mb: int = 256


@dataclass(frozen=True, slots=True)
class Ran:
    """How a task was done: by which worker, in which way of isolation, and how long it waited and ran."""

    isolation: Isolation
    image: str
    worker: str
    queued_seconds: float
    ran_seconds: float


class Asker(Protocol):
    """Who asked for a task. It gets each part in order, and waits for nothing but its own link."""

    async def items(self, start: int, stop: int) -> Sequence[Json]:
        """The items from `start` on, at least one, as many as fit a part."""
        ...

    async def log(self, line: Log) -> None:
        """A line that the code logged."""
        ...

    async def progress(self, progress: Progress) -> None:
        """How far the code says it is; or what the sandbox does before it runs."""
        ...

    async def part(self, items: Sequence[Json], failed: Sequence[Json]) -> None:
        """A part of the result, in the shapes of `messages.ResultItem` and `messages.Trouble`."""
        ...
