"""Reading on: who goes through an object piece by piece gets larger and larger windows of it, in one request each."""

import threading
from collections import OrderedDict
from collections.abc import Callable

#: What is fetched at least, where an object has as much: a jump into it costs no more.
FIRST_BYTES = 256 * 1024
#: What is fetched at most beyond what is asked for. Each window is twice as long as the one before.
WINDOW_BYTES_MAX = 4 * 1024 * 1024
#: Of all objects together.
KEPT_BYTES_MAX = 16 * 1024 * 1024

Fetch = Callable[[int, int], bytes]


class ReadAhead:
    """The windows that were fetched last, for any thread. An object never changes under its key."""

    def __init__(self) -> None:
        self._windows: OrderedDict[tuple[str, int], bytes] = OrderedDict()  # By key and start, the last used behind.
        self._bytes = 0
        self._lock = threading.Lock()

    def read(self, key: str, length: int, start: int, size: int, fetch: Fetch) -> bytes:
        """Bytes of an object that has `length`; fewer where it ends. `fetch(start, size)` gets what is not here."""
        stop = min(length, start + size)
        if start >= stop:
            return b""
        before, head = self._take(key, start, stop)
        at = start + len(head)
        if at == stop:
            return head
        ahead = FIRST_BYTES if before is None else min(2 * before, WINDOW_BYTES_MAX)
        window = fetch(at, min(length, max(stop, at + ahead)) - at)
        self._keep(key, at, window)
        return head + window[: stop - at]

    def forget(self, key: str) -> None:
        """Drop what is kept of an object."""
        with self._lock:
            for known in [one for one in self._windows if one[0] == key]:
                self._drop(known)

    def _take(self, key: str, start: int, stop: int) -> tuple[int | None, bytes]:
        """What a window has from `start` on, and how long that window is; one that ends just there counts too.

        A window that is read to its end is dropped: whoever read it goes on behind it.
        """
        with self._lock:
            for known in reversed(self._windows):
                window = self._windows[known]
                first = start - known[1]
                if known[0] == key and 0 <= first <= len(window):
                    if stop > known[1] + len(window):
                        self._drop(known)
                    else:
                        self._windows.move_to_end(known)
                    return len(window), window[first : first + stop - start]
        return None, b""

    def _keep(self, key: str, start: int, window: bytes) -> None:
        if len(window) > KEPT_BYTES_MAX:
            return
        with self._lock:
            self._drop((key, start))
            self._windows[key, start] = window
            self._bytes += len(window)
            while self._bytes > KEPT_BYTES_MAX:
                self._drop(next(iter(self._windows)))

    def _drop(self, known: tuple[str, int]) -> None:
        self._bytes -= len(self._windows.pop(known, b""))
