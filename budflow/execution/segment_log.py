"""What a heavy segment logs on its way back: told every now and then while it runs, and once more with its result."""

from collections.abc import Callable, Sequence

import orjson

from budflow.execution.node_result import NodeRun
from budflow.model.event import NodeLogged
from budflow.model.item import Json
from budflow.model.log import LogLine

#: Called in the process of a segment with what it logged, as bytes, for `hear` on the other side.
Tell = Callable[[bytes], object]


class SegmentLog:
    """The lines of one run that its NodeLog has let go of: they were told, where there is somebody to be told."""

    def __init__(self, tell: Tell | None) -> None:
        self._tell = tell
        self._lines: list[Json] = []

    def append(self, event: NodeLogged) -> None:
        """See ExecutionLog."""
        lines = [line.to_json() for line in event.log]
        if self._tell is not None:
            self._tell(orjson.dumps({"first": len(self._lines), "lines": lines}))
        self._lines += lines

    def whole(self, rest: Sequence[LogLine]) -> list[Json]:
        """All lines, for the result: what is told may come later than that, or never."""
        return [*self._lines, *(line.to_json() for line in rest)]


def hear(told: bytes, run: NodeRun) -> None:
    """Take what the process that `run` is in told of it."""
    shape = orjson.loads(told)
    hear_whole(shape["lines"], run, shape["first"])


def hear_whole(lines: Sequence[Json], run: NodeRun, first: int = 0) -> None:
    """Take the lines that came with the result, without those that were told before."""
    run.log.receive(first, [LogLine.of_json(line) for line in lines])
