"""One task as the worker sees it: what its process sends is checked, cut and counted before the broker gets it.

The process is hostile until proven otherwise, for it runs an author's code and so may send anything at any time.
"""

import json
import re
import signal
import socket
import time
from collections.abc import Callable
from typing import Any

from budflow.sandbox.worker import packets
from budflow.sandbox.worker.limits import (
    FRAME_BYTES_MAX,
    LOG_BYTES_MAX,
    LOG_LINES_MAX,
    MESSAGE_MAX,
    NESTING_MAX,
    OUT_OF_MEMORY_STATUS,
    PROGRESS_SECONDS_MIN,
    RESULT_BYTES_MAX,
    SHORT_MAX,
    TEXT_MAX,
    TRACEBACK_MAX,
)
from budflow.sandbox.worker.packets import PACKET_BYTES, Assembly, PacketsMalformed
from budflow.sandbox.worker.troubles import Trouble

Message = dict[str, Any]

_CODES = ("code.failed", "code.invalid", "code.result_malformed", "code.out_of_memory", "code.too_many_processes")
_LEVELS = ("debug", "info", "warning", "error")
_HALF_PAIR = re.compile(rb"\\u[dD][89a-fA-F]")
#: Lines and bytes beyond what the child itself sends: for a last line, and others of processes that it forked.
_SLACK = 100
_READS_A_TURN = 32
_MALFORMED = (PacketsMalformed, ValueError, TypeError, LookupError, AttributeError, RecursionError, OverflowError)
_FAILED_BYTES_MAX = 16 * 1024 * 1024


class TaskRun:
    """Passes messages between the broker and the process of a task, until `done`."""

    def __init__(self, task: Message, text: bytes, sock: socket.socket, send: Callable[[bytes], None]) -> None:
        self.id: str = task["task_id"]
        self.deadline = time.monotonic() + task["timeout_seconds"]
        self.timeout_seconds: float = task["timeout_seconds"]
        self.done = False
        self.closed = False  # By the process: it cannot send any more.
        self.ended: int | None = None  # The status with which the process ended.
        self.sock = sock
        self._send = send
        self._items = int(task["item_count"])
        self._mode = task["mode"]
        self._assembly = Assembly((packets.RESULT, packets.LAST, packets.FAILED), FRAME_BYTES_MAX - PACKET_BYTES // 4)
        self._outgoing: list[bytes] = []
        self._asked = False
        self._result_bytes = 0
        self._failed_bytes = 0
        self._log_lines = 0
        self._log_bytes = 0
        self._dropped = 0
        self._progress_sent = 0.0
        sock.setblocking(False)
        self._pass_on(packets.TASK, text)

    @property
    def wants_to_write(self) -> bool:
        """Whether something waits for the process to read."""
        return bool(self._outgoing)

    def give(self, text: bytes) -> None:
        """A `data` message that came from the broker: its text, which is not made anew."""
        if self._asked:
            self._asked = False
            self._pass_on(packets.ITEMS, text)

    def write(self) -> None:
        """Send the process what it takes."""
        try:
            while self._outgoing:
                self.sock.send(self._outgoing[0])
                self._outgoing.pop(0)
        except BlockingIOError:
            return
        except OSError:
            self._outgoing.clear()  # It closed its end; reading tells the same.

    def read(self) -> None:
        """Take what the process sent, a bounded number of packets at a time."""
        try:
            for _ in range(_READS_A_TURN):
                if self.done:
                    return
                packet = self.sock.recv(PACKET_BYTES + 1)
                if not packet:
                    self.closed = True
                    return
                if message := self._assembly.add(packet):
                    self._take(*message)
        except BlockingIOError:
            if self.ended is not None:
                self.closed = True  # What it had sent before it ended was there to be read.
        except _MALFORMED:
            self.fail("code.failed", "The code sent the sandbox what it does not understand")
        except OSError:
            self.closed = True

    def conclude(self, oom_killed: bool | None) -> None:
        """The process ended, or closed its socket, without a result: say why, as far as the status tells."""
        if self.ended is None:
            self.fail("code.failed", "The code closed its connection to the sandbox")
        elif self.ended == OUT_OF_MEMORY_STATUS or (self.ended == -signal.SIGKILL and oom_killed is not False):
            self.fail("code.out_of_memory", "The code was killed: it used more memory than it may")
        elif self.ended < 0:
            self.fail("code.failed", f"The process of the code died of {_signal_name(-self.ended)}")
        else:
            self.fail("code.failed", f"The process of the code ended with status {self.ended} and gave no result")

    def fail(self, code: str, message: str) -> None:
        """End the task with this error, unless it has ended."""
        self._end_in_error({"code": code, "message": message})

    def _take(self, kind: bytes, body: bytes) -> None:
        if kind in (packets.RESULT, packets.LAST):
            self._take_result(body, last=kind == packets.LAST)
        elif kind == packets.FAILED:
            self._take_failed(body)
        elif kind == packets.LOG:
            self._take_log(json.loads(body), len(body))
        elif kind == packets.NEED:
            self._take_need(json.loads(body))
        elif kind == packets.PROGRESS:
            self._take_progress(json.loads(body))
        elif kind == packets.TROUBLE:
            self._end_in_error(self._trouble(json.loads(body)))
        elif kind == packets.DROPPED:
            self._dropped += min(2**31, max(0, int(json.loads(body))))
        else:
            raise PacketsMalformed("an unknown kind")

    def _take_result(self, body: bytes, *, last: bool) -> None:
        """The text itself goes on, once it is known to be one JSON list of items: it is not made anew."""
        self._result_bytes += len(body)
        if self._result_bytes > 2 * RESULT_BYTES_MAX:  # The child counts exactly, what is in the items.
            self.fail("code.result_malformed", f"What the code gave has more than {RESULT_BYTES_MAX} bytes as JSON")
            return
        items = json.loads(body.decode(), parse_constant=_no_constant)
        if not isinstance(items, list):
            raise PacketsMalformed("no list")
        for item in items:
            if len(item) != 2 or type(item["json"]) is not dict:
                raise PacketsMalformed("no item")
            if _is_deeper(item["json"], NESTING_MAX):
                raise PacketsMalformed("nested too deeply")
            if type(item["source"]) is not int or not -1 <= item["source"] < self._items:
                raise PacketsMalformed("no source")
        if _HALF_PAIR.search(body):
            body = json.dumps(items, ensure_ascii=False).encode()  # Raises UnicodeEncodeError if it is one.
        if last:
            self._end_log()
        self._send(
            b'{"type":"result","task_id":"%b","items":%b,"failed":[],"last":%b}'
            % (self.id.encode(), body, b"true" if last else b"false")
        )
        self.done = last

    def _take_failed(self, body: bytes) -> None:
        self._failed_bytes += len(body)
        if self._mode == "all" or self._failed_bytes > _FAILED_BYTES_MAX:
            raise PacketsMalformed("failed items")
        failed = [self._trouble(raw) for raw in json.loads(body)]
        if not all("item" in trouble for trouble in failed):
            raise PacketsMalformed("no item")
        self._say({"type": "result", "failed": failed, "last": False})

    def _take_log(self, line: Message, size: int) -> None:
        if self._log_lines >= LOG_LINES_MAX + _SLACK or self._log_bytes + size > LOG_BYTES_MAX + 2 * TEXT_MAX:
            self._dropped += 1
            return
        self._log_lines += 1
        self._log_bytes += size
        level = line["level"] if line["level"] in _LEVELS else "info"
        told: Message = {"type": "log", "level": level, "message": _text(line["message"], TEXT_MAX)}
        fields = line.get("fields")
        if isinstance(fields, dict):
            told["fields"] = json.loads(_text(json.dumps(fields, allow_nan=False), PACKET_BYTES))
        if (item := self._item(line.get("item"))) is not None:
            told["item"] = item
        self._say(told)

    def _take_need(self, need: Message) -> None:
        start, stop = need["start"], need["stop"]
        if self._asked or type(start) is not int or type(stop) is not int or not 0 <= start < stop <= self._items:
            raise PacketsMalformed("a request for data")
        self._asked = True
        self._say({"type": "data_request", "start": start, "stop": stop})

    def _take_progress(self, progress: Message) -> None:
        now = time.monotonic()
        if now - self._progress_sent < PROGRESS_SECONDS_MIN / 2:
            return
        self._progress_sent = now
        fraction = progress.get("fraction")
        told = min(1.0, max(0.0, float(fraction))) if isinstance(fraction, (int, float)) else None
        self._say({"type": "progress", "fraction": told, "message": _text(progress.get("message", ""), SHORT_MAX)})

    def _end_in_error(self, trouble: Trouble) -> None:
        if not self.done:
            self._end_log()
            self._say({"type": "error", "error": trouble})
            self.done = True

    def _end_log(self) -> None:
        if self._dropped:
            text = f"{self._dropped} more lines were printed or logged, and left out"
            self._say({"type": "log", "level": "warning", "message": text})

    def _trouble(self, raw: Any) -> Trouble:
        """What a trouble of the protocol may be, whatever was sent as one."""
        if raw["code"] not in _CODES:
            raise PacketsMalformed("an unknown code")
        trouble: Trouble = {"code": raw["code"], "message": _text(raw["message"], MESSAGE_MAX)}
        if type(line := raw.get("line")) is int and 0 <= line < 2**31:
            trouble["line"] = line
        if (item := self._item(raw.get("item"))) is not None:
            trouble["item"] = item
        if isinstance(frames := raw.get("traceback"), list):
            trouble["traceback"] = [_text(frame, SHORT_MAX) for frame in frames[-TRACEBACK_MAX:]]
        return trouble

    def _item(self, index: Any) -> int | None:
        return index if type(index) is int and 0 <= index < self._items else None

    def _say(self, message: Message) -> None:
        message["task_id"] = self.id
        self._send(json.dumps(message, separators=(",", ":")).encode())

    def _pass_on(self, kind: bytes, text: bytes) -> None:
        self._outgoing += packets.split(kind, text)
        self.write()


def _text(value: Any, characters_max: int) -> str:
    """Cut, and without halves of surrogate pairs, which no encoding can carry."""
    return str(value)[:characters_max].encode("utf-8", "replace").decode()


def _is_deeper(value: Any, levels: int) -> bool:
    """Whether it has more levels: what reads it later has a stack too."""
    if levels == 0:
        return True
    for each in value.values() if type(value) is dict else value:
        kind = type(each)
        if (kind is dict or kind is list) and _is_deeper(each, levels - 1):
            return True
    return False


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
