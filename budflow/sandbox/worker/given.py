"""What code gave back, sent as it comes, in parts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from budflow.sandbox.worker.channel import Channel, as_json
from budflow.sandbox.worker.limits import PART_BYTES, RESULT_BYTES_MAX, TRACEBACKS_MAX
from budflow.sandbox.worker.packets import FAILED, LAST, RESULT
from budflow.sandbox.worker.plain import NotJson, encoded
from budflow.sandbox.worker.troubles import ResultMalformed, Trouble

SourceOf = Callable[[Any], int]


class Given:
    """Collects items until they are a part."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._part: list[bytes] = []
        self._part_bytes = 0
        self._bytes = 0
        self._count = 0
        self._failed: list[bytes] = []
        self._failed_bytes = 0
        self._failures = 0

    def add_all(self, value: Any, source_of: SourceOf) -> None:
        """What code of mode `all` or `each` returned. Raises ResultMalformed, and what an iterator raises."""
        if value is None:
            return
        if isinstance(value, Mapping):
            self.add(value, source_of(value))
        elif isinstance(value, (Iterator, Sequence)) and not isinstance(value, (str, bytes, bytearray, memoryview)):
            for index, each in enumerate(value):
                if not isinstance(each, Mapping):
                    raise ResultMalformed(f"Item {index} of what the code gave is {_a(each)}, and must be a dict")
                self.add(each, source_of(each))
        else:
            raise ResultMalformed(f"The code gave {_a(value)}; return a dict, a list of dicts, or None for no item")

    def add(self, item: Mapping[Any, Any], source: int) -> None:
        """One item. Raises ResultMalformed."""
        try:
            data = b'{"json":%b,"source":%d}' % (encoded(item), source)
        except NotJson as error:
            raise ResultMalformed(f"Item {self._count} of what the code gave: {error}") from error
        self._count += 1
        size = len(data) + 1
        self._bytes += size
        if self._bytes > RESULT_BYTES_MAX:
            raise ResultMalformed(f"What the code gave has more than {RESULT_BYTES_MAX} bytes as JSON")
        if self._part_bytes + size > PART_BYTES and self._part:
            self._send(RESULT)
        self._part.append(data)
        self._part_bytes += size

    def fail(self, trouble: Trouble) -> None:
        """The code failed on an item, and goes on with the next one."""
        self._failures += 1
        if self._failures > TRACEBACKS_MAX:
            trouble.pop("traceback", None)
        data = as_json(trouble)
        if self._failed_bytes + len(data) > PART_BYTES:
            self._send_failed()
        self._failed.append(data)
        self._failed_bytes += len(data) + 1

    def end(self) -> None:
        """Send what is left, and that it was the last."""
        if self._failed:
            self._send_failed()
        self._send(LAST)

    def _send(self, kind: bytes) -> None:
        if self._channel.owned:  # Not by a process that the code forked, and that went on like this one.
            self._channel.send(kind, b"[%b]" % b",".join(self._part))
        self._part, self._part_bytes = [], 0

    def _send_failed(self) -> None:
        if self._channel.owned:
            self._channel.send(FAILED, b"[%b]" % b",".join(self._failed))
        self._failed, self._failed_bytes = [], 0


def _a(value: Any) -> str:
    name = type(value).__name__
    return f"an {name}" if name[:1] in "aeiou" else f"a {name}"
