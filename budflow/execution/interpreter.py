"""Settings of a process that runs executions: how often Python looks for garbage, and how memory is kept for it."""

import ctypes
import gc
import sys

#: New containers before the youngest are looked at, and how often that happens before the older and the oldest are.
#: Most objects are items, which live long and form no cycles: going through them over and over cost a third of the
#: time.
GARBAGE_THRESHOLDS = (10_000, 20, 50)
#: So many places from which glibc gives memory to threads. Each keeps for itself what was freed in it, some MB after
#: every large list that passed: with one a thread, as by default, a server would grow by 50 MB more.
ARENAS_MAX = 2
#: What is as large has pages of its own, which go back to the system at once; glibc would raise the limit by itself.
OWN_PAGES_BYTES = 1024 * 1024
_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8  # As malloc.h has them.


def tune() -> None:
    """For the whole process, from now on."""
    gc.set_threshold(*GARBAGE_THRESHOLDS)
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        mallopt(_M_ARENA_MAX, ARENAS_MAX)
        mallopt(_M_MMAP_THRESHOLD, OWN_PAGES_BYTES)


def keep() -> None:
    """What is loaded now stays: it need not be looked at again, which shortens the pauses."""
    gc.collect()
    gc.freeze()
