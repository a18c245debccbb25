"""What one run of a node logs, on its way into the journal: with the node's end, or before it where that takes long.

A node that logs nothing costs nothing. No line makes a row of its own: those that gather until the node ends stand in
the event that ends it, and of a node that runs longer those of a quarter of a second stand in one `node.logged`.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from budflow.execution.log_values import fields_of, message_of
from budflow.model import event as e
from budflow.model.identity import utc_now
from budflow.model.log import Level, LogLine
from budflow.model.path import Rounds
from budflow.model.redaction import Redaction

RUN_LINES_MAX = 1_000
EXECUTION_LINES_MAX = 10_000
EXECUTION_CHARS_MAX = 4 * 1024 * 1024
#: What a line takes beside its texts.
LINE_CHARS = 100
FLUSH_SECONDS = 0.25

Append = Callable[[e.NodeLogged], object]


@dataclass(slots=True)
class ExecutionLog:
    """How much the nodes of one execution may still log, and how it gets into the journal before they end.

    `crowded` counts the lines that had no room, the last of them by the node `crowded_by`.
    """

    now: Callable[[], datetime]
    append: Append | None = None
    lines: int = EXECUTION_LINES_MAX
    chars: int = EXECUTION_CHARS_MAX
    crowded: int = 0
    crowded_by: str = ""

    def count(self, events: Sequence[e.Event]) -> None:
        """These are in the journal already, of an execution that is taken up again."""
        for event in events:
            for line in getattr(event, "log", ()):
                self.lines -= 1
                self.chars -= _size(line)

    def rest(self) -> e.NodeLogged | None:
        """What the execution says at its end: how many lines had no room."""
        if not self.crowded:
            return None
        many = "1 more line was" if self.crowded == 1 else f"{self.crowded:,} more lines were"
        message = (
            f"{many} dropped: of an execution at most {EXECUTION_LINES_MAX:,} lines or "
            f"{EXECUTION_CHARS_MAX // 1024**2} MiB are kept."
        )
        now = self.now()
        return e.NodeLogged(now, self.crowded_by, (LogLine(now, "warning", message, {"dropped": self.crowded}),))


class NodeLog:
    """The lines of one run of a node. `redaction` masks the secrets that it was given, `attempt` is the try it is at.

    With `live`, lines are journaled while the node runs.
    """

    __slots__ = (
        *("_count", "_dropped", "_execution", "_lines", "_live", "_missed", "_node", "_over", "_received", "_rounds"),
        *("_timer", "attempt", "redaction"),
    )

    def __init__(self, execution: ExecutionLog, node: str, rounds: Rounds = (), *, live: bool = False) -> None:
        self._execution, self._node, self._rounds = execution, node, rounds
        self._live = live and execution.append is not None
        self._lines: list[LogLine] = []
        self._count = self._dropped = self._missed = self._received = 0
        self._over = False
        self._timer: asyncio.TimerHandle | None = None
        self.redaction: Redaction | None = None
        self.attempt = 1

    def add(self, level: Level, message: object, fields: Mapping[str, Any], item: int | None) -> None:
        """Keep a line, as far as there is room."""
        if self._has_room():
            try:
                message, fields = message_of(message, self.redaction), fields_of(fields, self.redaction)
            except Exception as error:  # noqa: BLE001 - the boundary of a node's call: its values may have code of their own
                message, fields = f"A line could not be written: {type(error).__name__}.", {}
            self._keep(LogLine(self._execution.now(), level, message, fields, item, self.attempt))

    def receive(self, first: int, lines: Sequence[LogLine]) -> None:
        """Lines from the process that the node runs in, of which these are those from the number `first` on.

        Whatever was received before is left out. They are masked and counted as if they had been logged here.
        """
        fresh = lines[max(0, self._received - first) :]
        self._received = max(self._received, first + len(lines))
        for line in fresh:
            if self._has_room():
                message, fields = message_of(line.message, self.redaction), fields_of(line.fields, self.redaction)
                self._keep(replace(line, message=message, fields=fields))

    def miss(self, count: int) -> None:
        """So many lines more came up for which there was no room where the node ran: nor is there any here."""
        for _ in range(count):
            self._has_room()

    @property
    def said(self) -> bool:
        """Whether anything was logged, be there room for it or not."""
        return bool(self._count or self._missed)

    def sent(self) -> tuple[Sequence[LogLine], int]:
        """The run is over in a process that journals nothing: its lines, and how many had no room, for `receive`."""
        self.close()
        return self._lines, self._missed

    def flush(self) -> None:
        """Journal what gathered, in the middle of the run."""
        self._stop_timer()
        append = self._execution.append
        if self._lines and not self._over and append is not None:
            lines, self._lines = tuple(self._lines), []
            append(e.NodeLogged(self._execution.now(), self._node, lines, self._rounds))

    def end(self) -> tuple[LogLine, ...]:
        """The run is over: the lines that its last event is to have. The same when asked again."""
        self.close()
        if self._dropped:
            many = "1 more line was" if self._dropped == 1 else f"{self._dropped:,} more lines were"
            message = f"{many} dropped: of one run of a node at most {RUN_LINES_MAX:,} are kept."
            self._lines.append(LogLine(self._execution.now(), "warning", message, {"dropped": self._dropped}))
            self._dropped = 0
        return tuple(self._lines)

    def close(self) -> None:
        """Keep nothing from now on."""
        self._over = True
        self._stop_timer()

    def _has_room(self) -> bool:
        if self._over:
            return False
        if self._count >= RUN_LINES_MAX:
            self._dropped += 1
            self._missed += 1
            return False
        if self._execution.lines <= 0 or self._execution.chars <= 0:
            self._missed += 1
            self._execution.crowded += 1
            self._execution.crowded_by = self._node
            return False
        return True

    def _keep(self, line: LogLine) -> None:
        self._count += 1
        self._execution.lines -= 1
        self._execution.chars -= _size(line)
        self._lines.append(line)
        if self._live:
            self._flush_in_time()

    def _flush_in_time(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # A thread of the node's own: these come with the next line, or with the end.
        if (self._lines[-1].at - self._lines[0].at).total_seconds() >= FLUSH_SECONDS:
            self.flush()  # The node holds up the loop, and with it any timer.
        elif self._timer is None:
            self._timer = loop.call_later(FLUSH_SECONDS, self.flush)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def unread_log() -> NodeLog:
    """What a run logs that belongs to no execution."""
    return NodeLog(ExecutionLog(utc_now), "")


class Logging:
    """Meets LogCapability: what a node's function is given. `first` is the ordinal of the first item that it sees."""

    __slots__ = ("_first", "_item", "_log")

    def __init__(self, log: NodeLog, first: int = 0, item: int | None = None) -> None:
        self._log, self._first, self._item = log, first, item

    def debug(self, message: str, /, **fields: Any) -> None:
        """See LogCapability, as for the others."""
        self._log.add("debug", message, fields, self._item)

    def info(self, message: str, /, **fields: Any) -> None:
        """What happened."""
        self._log.add("info", message, fields, self._item)

    def warning(self, message: str, /, **fields: Any) -> None:
        """What may be wrong."""
        self._log.add("warning", message, fields, self._item)

    def error(self, message: str, /, **fields: Any) -> None:
        """What is wrong."""
        self._log.add("error", message, fields, self._item)

    def for_item(self, index: int) -> "Logging":
        """Lines about one item."""
        return Logging(self._log, self._first, self._first + index)


def _size(line: LogLine) -> int:
    return LINE_CHARS + len(line.message) + (len(repr(line.fields)) if line.fields else 0)
