"""What code tells while it runs: lines it prints or logs, and how far it is."""

import io
import json
import threading
import time
from typing import Any

from budflow.sandbox.worker.channel import Channel, as_json
from budflow.sandbox.worker.limits import (
    LOG_BYTES_MAX,
    LOG_CHARACTERS_MAX,
    LOG_FIELDS_BYTES_MAX,
    LOG_LINES_MAX,
    PROGRESS_SECONDS_MIN,
    SHORT_MAX,
)
from budflow.sandbox.worker.packets import DROPPED, LOG, PROGRESS
from budflow.sandbox.worker.plain import plain_or_shown


class Lines:
    """Sends log lines up to a limit, then counts them."""

    def __init__(self, channel: Channel) -> None:
        self.stdout = Printed(self, "info")
        self.stderr = Printed(self, "warning")
        self._item: int | None = None
        self._channel = channel
        self._lines = 0
        self._bytes = 0
        self._dropped = 0

    def send(self, level: str, message: str, fields: dict[str, Any] | None = None) -> None:
        """One line; without its fields if they are too many."""
        if self._lines >= LOG_LINES_MAX or self._bytes >= LOG_BYTES_MAX:
            self._dropped += 1
            return
        line: dict[str, Any] = {"level": level, "message": message[:LOG_CHARACTERS_MAX]}
        if fields:
            line["fields"] = {name: plain_or_shown(value) for name, value in fields.items()}
            if len(json.dumps(line["fields"])) > LOG_FIELDS_BYTES_MAX:
                line["fields"] = {"budflow": f"the fields have more than {LOG_FIELDS_BYTES_MAX} bytes"}
        if self._item is not None:
            line["item"] = self._item
        body = as_json(line)
        self._lines += 1
        self._bytes += len(body)
        self._channel.send(LOG, body)

    def turn_to(self, item: int | None) -> None:
        """Lines are from now on those of this input item; what was printed before ends here."""
        self.stdout.end_lines()
        self.stderr.end_lines()
        self._item = item

    def end(self) -> None:
        """Tell how many lines were not sent."""
        if self._dropped:
            self._channel.send_json(DROPPED, self._dropped)


class Log:
    """`log` of the code: `log.info("paid", order=item["id"])`."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    def debug(self, message: object, /, **fields: Any) -> None:
        """For who looks for an error."""
        self._lines.send("debug", str(message), fields)

    def info(self, message: object, /, **fields: Any) -> None:
        """What happened."""
        self._lines.send("info", str(message), fields)

    def warning(self, message: object, /, **fields: Any) -> None:
        """What should be looked at."""
        self._lines.send("warning", str(message), fields)

    def error(self, message: object, /, **fields: Any) -> None:
        """What went wrong."""
        self._lines.send("error", str(message), fields)


class Printed(io.TextIOBase):
    """`sys.stdout` and `sys.stderr` of the code: every line that is printed is a log line, of one thread."""

    def __init__(self, lines: Lines, level: str) -> None:
        self._lines = lines
        self._level = level
        self._begun: dict[int, str] = {}

    @property
    def encoding(self) -> str:  # type: ignore[override]  # typeshed has an attribute, io.TextIOBase a property.
        """As printed text is sent."""
        return "utf-8"

    def writable(self) -> bool:
        """See io.TextIOBase."""
        return True

    def write(self, text: str) -> int:
        """See io.TextIOBase; lines are sent as they end."""
        thread = threading.get_ident()
        begun = self._begun.pop(thread, "") + text
        if "\n" in text or len(begun) > LOG_CHARACTERS_MAX:
            *lines, begun = begun.split("\n")
            for line in lines:
                self._lines.send(self._level, line)
            while len(begun) > LOG_CHARACTERS_MAX:
                self._lines.send(self._level, begun[:LOG_CHARACTERS_MAX])
                begun = begun[LOG_CHARACTERS_MAX:]
        if begun:
            self._begun[thread] = begun
        return len(text)

    def end_lines(self) -> None:
        """Send what was printed without an end of its line."""
        while self._begun:
            self._lines.send(self._level, self._begun.popitem()[1])


class Progress:
    """`progress(0.5, "half of them")` of the code; what comes faster than a reader could see is left out."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._sent = 0.0

    def __call__(self, fraction: float | None, message: str = "") -> None:
        """Tell how far the code is, from 0 to 1."""
        now = time.monotonic()
        if now - self._sent < PROGRESS_SECONDS_MIN:
            return
        self._sent = now
        told = None if fraction is None else min(1.0, max(0.0, float(fraction)))
        self._channel.send_json(PROGRESS, {"fraction": told, "message": str(message)[:SHORT_MAX]})
