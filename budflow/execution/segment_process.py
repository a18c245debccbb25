"""A process of the pool: reads packed segments from its standard input, runs them, writes their results."""

import os
import pickle
import sys
from functools import partial
from typing import BinaryIO

import orjson

from budflow.execution.segment import SegmentHost

SIZE_BYTES = 8
#: What stands before a message of a process: it asks for credentials, tells what was logged, or gives the result.
QUESTION, LOGGED, RESULT = b"?", b"~", b"="


def frame(payload: bytes) -> bytes:
    """A message between the pool and its processes: its size, then itself."""
    return len(payload).to_bytes(SIZE_BYTES, "big") + payload


def main() -> None:
    """Take the search path and the pickled OpenTools first, then segments until the input ends."""
    source, sink = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(sys.stderr.fileno(), 1)  # What a node prints must not come between the results.
    sys.path[:] = orjson.loads(_read(source) or b"[]") or sys.path
    opening = _read(source)
    if opening is None:
        return
    host = SegmentHost(pickle.loads(opening))  # noqa: S301 - written by the process that started this one

    def ask(question: bytes) -> bytes:
        _write(sink, QUESTION, question)
        answer = _read(source)
        if answer is None:
            raise SystemExit  # The pool has gone, and with it who wants the result.
        return answer

    while (payload := _read(source)) is not None:
        _write(sink, RESULT, host.run(payload, ask, partial(_write, sink, LOGGED)))


def _write(sink: BinaryIO, kind: bytes, message: bytes) -> None:
    sink.write(kind + frame(message))
    sink.flush()


def _read(source: BinaryIO) -> bytes | None:
    """The next message; None when the pool has gone."""
    size = source.read(SIZE_BYTES)
    return source.read(int.from_bytes(size, "big")) if len(size) == SIZE_BYTES else None


if __name__ == "__main__":
    main()
